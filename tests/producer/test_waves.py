from datetime import UTC, datetime

from support.publishers import RecordingPublisher

from producer_service.claims import ClaimedRow
from producer_service.verdicts import Parked, Published
from producer_service.waves import outgoing, publish_in_waves
from shared.envelope import STRUCTURED
from shared.errors import BrokerUnavailable
from shared.transport import LARGEST_BODY, Fate

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_row(row_id: str, aggregate: str, position: int = 1, **changes) -> ClaimedRow:
    fields = {
        "position": position,
        "id": row_id,
        "aggregateid": aggregate,
        "type": "user.created",
        "exchange": "domain.events",
        "payload": b"not even JSON",
        "lane": 0,
        "source": "/tidings/producer",
        "correlationid": "c-1",
        "time": NOON,
        "attempts": 0,
    }
    return ClaimedRow(**(fields | changes))


async def test_rows_of_different_aggregates_go_in_one_batch():
    publisher = RecordingPublisher()

    await publish_in_waves(publisher, [a_row(f"m{n}", f"user {n}") for n in range(300)])

    assert [len(batch) for batch in publisher.batches] == [300]


async def test_rows_of_one_aggregate_go_one_after_another():
    publisher = RecordingPublisher()

    await publish_in_waves(publisher, [a_row("a1", "a"), a_row("a2", "a"), a_row("b1", "b"), a_row("a3", "a")])

    assert publisher.batches == [["a1", "b1"], ["a2"], ["a3"]]


async def test_a_failed_row_stops_its_own_aggregate_and_no_other():
    publisher = RecordingPublisher()
    publisher.fates["a1"] = Fate.REFUSED

    outcome = await publish_in_waves(
        publisher, [a_row("a1", "a"), a_row("b1", "b"), a_row("a2", "a"), a_row("b2", "b")]
    )

    assert publisher.ids == ["a1", "b1", "b2"]
    assert [tried.row.id for tried in outcome.tried] == publisher.ids


async def test_a_row_larger_than_readers_accept_is_not_sent_and_does_not_trouble_its_neighbours():
    publisher = RecordingPublisher()
    rows = [a_row("a1", "a", payload=bytes(LARGEST_BODY + 1)), a_row("b1", "b"), a_row("c1", "c", payload=b"")]

    outcome = await publish_in_waves(publisher, rows)

    assert publisher.batches == [["b1", "c1"]]
    fates = {row.id: receipt.fate for row, receipt, _ in outcome.tried}
    assert fates == {"a1": Fate.INVALID, "b1": Fate.CONFIRMED, "c1": Fate.CONFIRMED}


async def test_every_row_tried_has_a_verdict():
    publisher = RecordingPublisher()
    publisher.fates["a1"] = Fate.FORBIDDEN

    outcome = await publish_in_waves(publisher, [a_row("a1", "a", 1), a_row("b1", "b", 2)])

    parked = Parked(1, "forbidden", "forbidden: as told")
    assert [tried.verdict for tried in outcome.tried] == [parked, Published(2)]


async def test_what_was_confirmed_before_the_broker_went_away_is_known():
    publisher = LeavingPublisher()

    outcome = await publish_in_waves(publisher, [a_row("a1", "a"), a_row("a2", "a")])

    assert [tried.row.id for tried in outcome.tried] == ["a1"]
    assert outcome.unavailable == "gone"


async def test_no_wave_begins_after_its_time():
    publisher = RecordingPublisher()

    outcome = await publish_in_waves(publisher, [a_row("a1", "a")], seconds=0.0)

    assert (publisher.ids, outcome.tried, outcome.unavailable) == ([], [], None)


def test_a_message_is_made_of_the_columns_and_the_payload_as_it_is():
    sent = outgoing(a_row("m-1", "ann"))

    assert (sent.exchange, sent.routing_key) == ("domain.events", "user.created")
    assert outgoing(a_row("m-1", "ann", lane=1)).routing_key == "bulk.user.created"
    assert sent.message.body == b"not even JSON"
    assert sent.message.content_type == STRUCTURED
    assert (sent.message.message_id, sent.message.type, sent.message.source) == (
        "m-1",
        "user.created",
        "/tidings/producer",
    )
    assert (sent.message.correlation_id, sent.message.time) == ("c-1", NOON)


class LeavingPublisher(RecordingPublisher):
    """Takes one batch and is gone."""

    async def publish(self, messages):
        if self.batches:
            raise BrokerUnavailable("gone")
        return await super().publish(messages)
