import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from support.builders import an_envelope
from support.databases import on_postgres
from support.dead_letters import (
    ANN,
    LONG,
    MAIL,
    NOTIFICATION,
    a_dead_message,
    audited,
    buried,
    claimed,
    grown_old,
    put_in_state,
    the_letter,
    the_letters,
)
from support.publishers import RecordingPublisher

from consumer_service.dead_letters.returning import SOMEBODY_ELSES, claim, send_home
from consumer_service.dispatch import REPLAYS
from consumer_service.lifecycle import State
from shared.errors import BrokerUnavailable
from shared.topology import RETRY_RETURN
from shared.transport import ATTEMPT, Fate, Message


class DyingPublisher(RecordingPublisher):
    """Publishes, and is killed before it hears the answer."""

    async def publish(self, messages):
        await super().publish(messages)
        raise asyncio.CancelledError


async def states(engine):
    return [letter.state for letter in await the_letters(engine)]


async def test_a_dead_letter_goes_to_the_queue_where_it_died_and_to_no_other(engine):
    letters = await buried(engine, a_dead_message()) + await buried(engine, a_dead_message(), queue=NOTIFICATION)
    publisher = RecordingPublisher()

    await send_home(engine, publisher, await claimed(engine, *letters))

    assert [(sent.exchange, sent.routing_key) for sent in publisher.sent] == [
        (RETRY_RETURN.name, MAIL),
        (RETRY_RETURN.name, NOTIFICATION),
    ]
    assert await states(engine) == [State.REPLAYED] * 2


async def test_it_keeps_id_body_and_foreign_headers_and_starts_over_without_the_notes_of_its_death(engine):
    message = a_dead_message(headers={"trace": "kept"})
    publisher = RecordingPublisher()

    await send_home(engine, publisher, await claimed(engine, *await buried(engine, message)))

    (sent,) = publisher.sent
    assert (sent.message.message_id, sent.message.body) == (message.message_id, message.body)
    assert sent.message.headers == {"trace": "kept", ATTEMPT: 1, REPLAYS: 1}


async def test_one_without_an_id_comes_back_under_the_name_of_its_body(engine):
    (letter,) = await buried(engine, Message(b"{"))
    publisher = RecordingPublisher()

    await send_home(engine, publisher, await claimed(engine, letter))
    await buried(engine, publisher.sent[0].message)

    (letter,) = await the_letters(engine)
    assert (letter.deaths, letter.state) == (2, State.WAITING)


async def test_replays_are_counted_on_from_what_the_message_says(engine):
    (letter,) = await claimed(engine, *await buried(engine, a_dead_message(replays=4)))

    assert letter.replays == 5


async def test_a_crash_before_the_publish_is_visible_and_replaying_it_again_sends_it_once(engine):
    (letter,) = await buried(engine, a_dead_message())
    await claimed(engine, letter)
    assert await states(engine) == [State.REPLAYING]
    await grown_old(engine, letter, by=SOMEBODY_ELSES, last_died_at=letter.last_died_at)
    publisher = RecordingPublisher()

    await send_home(engine, publisher, await claimed(engine, letter))

    assert [sent.message.headers[REPLAYS] for sent in publisher.sent] == [1]
    assert await states(engine) == [State.REPLAYED]


async def test_a_crash_between_publish_and_mark_sends_it_once_more_under_the_same_id_and_count(engine):
    (letter,) = await buried(engine, a_dead_message())
    dying, publisher = DyingPublisher(), RecordingPublisher()
    with pytest.raises(asyncio.CancelledError):
        await send_home(engine, dying, await claimed(engine, letter))
    assert await states(engine) == [State.REPLAYING]
    await grown_old(engine, letter, by=SOMEBODY_ELSES, last_died_at=letter.last_died_at)

    await send_home(engine, publisher, await claimed(engine, letter))

    assert dying.sent == publisher.sent
    assert await states(engine) == [State.REPLAYED]


async def test_what_another_process_has_just_begun_is_left_to_it(engine):
    (letter,) = await buried(engine, a_dead_message())
    await claimed(engine, letter)

    assert await claimed(engine, letter) == []


async def test_a_timeout_leaves_it_on_its_way(engine):
    (letter,) = await buried(engine, a_dead_message())
    publisher = RecordingPublisher()
    publisher.fates[letter.message_id] = Fate.UNKNOWN

    with capture_logs() as lines:
        ((_, receipt),) = await send_home(engine, publisher, await claimed(engine, letter))

    assert (receipt.fate, await states(engine)) == (Fate.UNKNOWN, [State.REPLAYING])
    assert [line["event"] for line in lines] == ["dead_letter.replay_unknown"]


@pytest.mark.parametrize("fate", [Fate.UNROUTABLE, Fate.REFUSED, Fate.FORBIDDEN, Fate.INVALID])
async def test_what_the_broker_did_not_take_waits_again(engine, fate):
    taken, refused = await buried(engine, a_dead_message(), a_dead_message())
    publisher = RecordingPublisher()
    publisher.fates[refused.message_id] = fate

    await send_home(engine, publisher, await claimed(engine, taken, refused))

    assert await states(engine) == [State.REPLAYED, State.WAITING]


async def test_with_the_broker_away_nothing_was_sent_and_all_waits_again(engine):
    letters = await buried(engine, a_dead_message(), a_dead_message())
    publisher = RecordingPublisher()
    publisher.away = True

    with pytest.raises(BrokerUnavailable):
        await send_home(engine, publisher, await claimed(engine, *letters))

    assert await states(engine) == [State.WAITING] * 2


async def test_with_the_broker_away_all_with_one_message_id_wait_again(engine):
    envelope = an_envelope()
    letters = await buried(engine, a_dead_message(envelope))
    letters += await buried(engine, a_dead_message(envelope), queue=NOTIFICATION)
    publisher = RecordingPublisher()
    publisher.away = True

    with pytest.raises(BrokerUnavailable):
        await send_home(engine, publisher, await claimed(engine, *letters))

    assert await states(engine) == [State.WAITING] * 2


async def test_two_with_one_message_id_are_never_in_the_air_together(engine):
    envelope = an_envelope()
    here, there = a_dead_message(envelope), a_dead_message(envelope)
    letters = await buried(engine, here) + await buried(engine, there, queue=NOTIFICATION)
    publisher = RecordingPublisher()

    await send_home(engine, publisher, await claimed(engine, *letters))

    assert publisher.batches == [[envelope.id], [envelope.id]]


async def test_one_that_died_again_before_it_was_marked_waits(engine):
    envelope = an_envelope()
    (letter,) = await buried(engine, a_dead_message(envelope))
    (on_its_way,) = await claimed(engine, letter)
    await buried(engine, a_dead_message(envelope, replays=1))

    await send_home(engine, RecordingPublisher(), [on_its_way])

    assert (await the_letter(engine, letter.id)).state is State.WAITING


@pytest.mark.parametrize("state", [State.REPLAYED, State.EDITED, State.DISCARDED, State.EXPIRED])
async def test_what_was_decided_on_is_not_replayed(engine, state):
    (letter,) = await buried(engine, a_dead_message())
    await put_in_state(engine, state, letter)

    assert await claimed(engine, letter) == []


async def test_what_died_too_long_ago_is_not_replayed_even_before_it_has_expired(engine):
    (letter,) = await buried(engine, a_dead_message())
    await grown_old(engine, letter, by=timedelta(days=22))

    assert await claimed(engine, letter) == []


async def test_every_replay_is_audited_with_who_and_why(engine):
    letters = await buried(engine, a_dead_message(), a_dead_message())

    await claimed(engine, *letters)

    assert await audited(engine) == [("replay", "ann", "the server works again", letter.id) for letter in letters]


@on_postgres
async def test_two_operators_at_once_send_each_home_once(engine):
    ids = [letter.id for letter in await buried(engine, *(a_dead_message() for _ in range(20)))]

    one, two = await asyncio.gather(*(claim(engine, ids, ANN, replayable=LONG) for _ in range(2)))

    assert sorted(letter.id for letter in (*one, *two)) == ids
