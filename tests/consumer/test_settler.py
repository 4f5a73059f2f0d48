import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from support.builders import a_message, an_envelope
from support.inboxes import CountingInbox, FailingInbox, JournalInbox, an_assignment, is_alive, remembered
from support.transports import CountingSubscription, RecordingSubscription, WatchedTransport, a_delivery
from support.waiting import eventually

from consumer_service.metrics import ConsumerMetrics
from consumer_service.outcome import DeadLetter, Done, Duplicate, Released, Retry
from consumer_service.quarantine import Quarantine
from consumer_service.settlement import Settlement
from consumer_service.settler import Settler
from shared.transport import ATTEMPT

A_RETRY = Retry(timedelta(seconds=7), "busy")
A_DEAD_LETTER = DeadLetter("permanent_failure", "no mailbox", "0123")


@pytest.fixture
def session():
    return RecordingSubscription()


@pytest.fixture
def registry():
    return CollectorRegistry()


@asynccontextmanager
async def settling(inbox, registry, quarantine=None):
    settler = Settler(
        queue="consumer.mail",
        inbox=inbox,
        quarantine=quarantine or Quarantine(),
        metrics=ConsumerMetrics(registry),
        pause_seconds=0.1,
    )
    running = asyncio.create_task(settler.run())
    try:
        yield settler
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def settler(no_inbox, registry):
    async with settling(no_inbox, registry) as settler:
        yield settler


def ending(outcome, session, *, started=False, envelope=None, message=None):
    assignment = an_assignment(envelope, message=message, subscription=session)
    return Settlement(assignment.delivery, outcome, assignment, started=started)


async def settled(settler, *settlements):
    settler.owe(len(settlements))
    for each in settlements:
        settler.end(each)
    assert await settler.is_idle_within(5)


@pytest.mark.parametrize(
    ("outcome", "verb"),
    [
        (Done(), "acked"),
        (Duplicate(), "acked"),
        (Released(), "released"),
        (A_RETRY, "retried"),
        (A_DEAD_LETTER, "dead-lettered"),
    ],
)
async def test_every_outcome_has_its_settlement(settler, session, outcome, verb):
    settlement = ending(outcome, session)

    await settled(settler, settlement)

    assert session.journal[-1] == (verb, settlement.delivery.message.message_id)


async def test_nothing_is_settled_with_the_broker_before_the_inbox_has_committed_it(engine, registry):
    transport = WatchedTransport()
    await is_alive(engine, "this")
    inbox = JournalInbox(engine, worker="this", journal=transport.journal)
    session = RecordingSubscription()
    session.journal = transport.journal
    done, retried, released = (ending(outcome, session, started=True) for outcome in (Done(), A_RETRY, Released()))

    async with settling(inbox, registry) as settler:
        await inbox.start([each.assignment for each in (done, retried, released)])
        await settled(settler, done, retried, released)

    verbs = [verb for verb, _ in session.journal]
    assert verbs == ["recorded done", "recorded waiting", "recorded waiting", "acked", "released", "moving", "retried"]


async def test_a_dead_letter_is_recorded_only_when_its_copy_is_safe(engine, registry, session):
    await is_alive(engine, "this")
    inbox = JournalInbox(engine, worker="this", journal=session.journal)
    settlement = ending(A_DEAD_LETTER, session, started=True)

    async with settling(inbox, registry) as settler:
        await inbox.start([settlement.assignment])
        await settled(settler, settlement)

    assert [verb for verb, _ in session.journal] == ["moving", "dead-lettered", "recorded dead"]
    assert (await remembered(engine)).error == "no mailbox"


async def test_nothing_is_acked_while_the_database_is_away_and_everything_is_once_it_is_back(engine, registry, session):
    await is_alive(engine, "this")
    inbox = FailingInbox(engine, worker="this", journal=session.journal)
    settlement = ending(Done(), session, started=True)

    async with settling(inbox, registry) as settler:
        await inbox.start([settlement.assignment])
        settler.owe(1)
        settler.end(settlement)
        await eventually(lambda: inbox.tries)
        assert session.journal == []
        inbox.is_away = False
        assert await settler.is_idle_within(5)

    assert [verb for verb, _ in session.journal] == ["recorded done", "acked"]


async def test_ends_that_come_together_share_one_record_and_one_ack_per_session(engine, registry):
    await is_alive(engine, "this")
    sessions = [CountingSubscription(), CountingSubscription()]
    inbox = CountingInbox(engine, worker="this")
    settlements = [ending(Done(), session, started=True) for session in sessions for _ in range(20)]

    async with settling(inbox, registry) as settler:
        await inbox.start([each.assignment for each in settlements])
        await settled(settler, *settlements)

    assert (inbox.finished, [session.acks for session in sessions]) == ([40], [[20], [20]])


async def test_a_retry_carries_the_next_attempt_its_delay_and_its_notes(settler, session):
    settlement = ending(A_RETRY, session, message=a_message(headers={ATTEMPT: 2}))

    await settled(settler, settlement)

    (notes,) = session.notes
    assert session.delays == [A_RETRY.delay]
    assert (notes[ATTEMPT], notes["tidings-error"]) == (3, "busy")


async def test_a_retry_is_counted_by_its_task_and_its_rung_unless_its_session_has_ended(settler, session, registry):
    await settled(settler, ending(A_RETRY, session))
    session.ended = True
    await settled(settler, ending(A_RETRY, session))

    labels = {"queue": "consumer.mail", "task": "RecordingTask", "rung": "retry.5s"}
    assert registry.get_sample_value("tidings_retries_total", labels) == 1


async def test_a_dead_letter_carries_its_reason(settler, session):
    unreadable = Settlement(a_delivery(subscription=session), DeadLetter("malformed", "not JSON", "malformed"))

    await settled(settler, unreadable)

    (notes,) = session.notes
    assert (notes["tidings-reason"], notes["tidings-error"]) == ("malformed", "not JSON")


async def test_a_move_that_waits_for_its_confirm_keeps_nobody_else_waiting(settler, session):
    session.gate.clear()
    slow, quick = ending(A_RETRY, session), ending(Done(), session)
    settler.owe(2)

    settler.end(slow)
    await eventually(lambda: ("moving", slow.delivery.message.message_id) in session.journal)
    settler.end(quick)

    await eventually(lambda: ("acked", quick.delivery.message.message_id) in session.journal)
    session.gate.set()
    assert await settler.is_idle_within(5)


@pytest.mark.slow
async def test_two_messages_with_one_id_are_never_in_the_air_at_once(settler, session):
    session.gate.clear()
    envelope = an_envelope()
    twins = [ending(A_RETRY, session, envelope=envelope) for _ in range(2)]
    settler.owe(2)

    for twin in twins:
        settler.end(twin)
    await eventually(lambda: session.journal)
    await asyncio.sleep(0.05)

    assert session.journal == [("moving", envelope.id)]
    session.gate.set()
    assert await settler.is_idle_within(5)
    assert [verb for verb, _ in session.journal] == ["moving", "retried"] * 2


async def test_a_move_that_is_not_confirmed_leaves_the_original_unsettled_and_is_tried_again(
    settler, registry, transport
):
    transport.moves_to_refuse = 1
    await transport.send(a_message())
    async with transport.subscribe("consumer.mail", prefetch=9) as session:
        (delivery,) = await session.take(1)
        settler.owe(1)
        settler.end(Settlement(delivery, A_DEAD_LETTER))
        await eventually(lambda: not transport.moves_to_refuse)
        assert (settler.in_flight, transport.journal) == (1, [])

        assert await settler.is_idle_within(5)

    assert transport.journal == [("dead-lettered", delivery.message.message_id)]
    assert registry.get_sample_value("tidings_moves_unconfirmed_total", {"queue": "consumer.mail"}) == 1


async def test_knows_how_much_is_still_to_be_settled(settler, session, registry):
    settlement = ending(Done(), session)
    settler.owe(1)

    held = settler.in_flight, registry.get_sample_value("tidings_deliveries_in_flight", {"queue": "consumer.mail"})
    is_idle_early = await settler.is_idle_within(0.01)
    settler.end(settlement)

    assert (held, is_idle_early) == ((1, 1.0), False)
    assert await settler.is_idle_within(5)
    assert settler.in_flight == 0


async def test_settlements_for_a_dead_session_are_counted_as_lost(settler, session, registry):
    session.ended = True

    await settled(settler, *(ending(outcome, session) for outcome in (Done(), Released(), A_RETRY, A_DEAD_LETTER)))

    assert registry.get_sample_value("tidings_settlements_lost_total", {"queue": "consumer.mail"}) == 4


async def test_what_is_settled_no_longer_keeps_a_suspect_waiting(no_inbox, registry, session):
    quarantine = Quarantine()
    await quarantine.enter(2)
    endings = [ending(Done(), session), ending(Released(), session)]
    unread = Settlement(a_delivery(subscription=session), A_DEAD_LETTER)

    async with settling(no_inbox, registry, quarantine) as settler:
        await settled(settler, *endings, unread)

    async with asyncio.timeout(1), quarantine.alone():
        pass
