import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from support.builders import a_message
from support.tasks import RecordingTask
from support.transports import SilentTransport
from support.waiting import eventually

from consumer_service.consumer import Consumer
from consumer_service.dispatch import Dispatcher
from consumer_service.execution import Execution
from consumer_service.inbox import Inbox
from consumer_service.metrics import ConsumerMetrics
from consumer_service.quarantine import Quarantine
from consumer_service.supervisor import Pace, Supervisor
from shared.errors import BrokerUnavailable, SessionLost, TopologyError
from shared.transport import QueueState

MAIL = "consumer.mail"
QUICK = Pace(shortest_pause=0.001, longest_pause=0.05, watch=0.01, silent=0.05)
NOBODY = BrokerUnavailable("nobody answers")


class NotingSupervisor(Supervisor):
    """Notes the ceiling under which each pause was drawn."""

    def __init__(self, **how):
        super().__init__(**how)
        self.ceilings = []

    async def _pause(self, stop):
        self.ceilings.append(self._ceiling)
        await super()._pause(stop)


class Supervising:
    """A supervisor of a consumer that works on nothing, and what is around it."""

    def __init__(self, transport, no_database, pace):
        self.registry, self.stop = CollectorRegistry(), asyncio.Event()
        metrics, inbox = ConsumerMetrics(self.registry), Inbox(no_database, worker="this")
        self.consumer = Consumer(
            queue=MAIL,
            dispatcher=Dispatcher([RecordingTask()]),
            inbox=inbox,
            execution=Execution(inbox),
            quarantine=Quarantine(),
            metrics=metrics,
            concurrency=1,
        )
        self.supervisor = NotingSupervisor(
            transport=transport, consumer=self.consumer, prefetch=5, metrics=metrics, pace=pace
        )

    def sample(self, name):
        return self.registry.get_sample_value(name, {"queue": MAIL})

    @property
    def is_consuming(self):
        return self.supervisor.trouble == "" and self.sample("tidings_consuming") == 1


@asynccontextmanager
async def supervising(transport, no_database, pace=QUICK):
    under_test = Supervising(transport, no_database, pace)
    running = asyncio.create_task(under_test.supervisor.run(under_test.stop, grace_seconds=0))
    try:
        yield under_test
    finally:
        under_test.stop.set()
        await running


async def test_consumes_until_it_is_stopped(transport, no_database):
    async with supervising(transport, no_database) as under_test:
        await eventually(lambda: under_test.is_consuming)

    assert under_test.supervisor.trouble == "stopped"
    assert under_test.sample("tidings_consuming") == 0
    assert [session.ended for session in transport.sessions] == [True]


async def test_opens_a_new_session_when_one_is_lost(transport, no_database):
    async with supervising(transport, no_database) as under_test:
        for number in range(1, 4):
            await eventually(lambda: under_test.is_consuming)
            assert under_test.sample("tidings_sessions_opened_total") == number
            transport.end_sessions()
            await eventually(lambda: under_test.sample("tidings_sessions_opened_total") == number + 1)  # noqa: B023


@pytest.mark.parametrize("error", [NOBODY, SessionLost("reset"), TopologyError("queue consumer.mail: missing")])
async def test_goes_on_trying_whatever_the_broker_says_and_consumes_in_the_end(transport, no_database, error):
    transport.refusals = [error] * 5

    async with supervising(transport, no_database) as under_test:
        await eventually(lambda: under_test.is_consuming)

    failed = {"queue": MAIL, "kind": type(error).__name__}
    assert transport.refusals == []
    assert under_test.registry.get_sample_value("tidings_sessions_failed_total", failed) >= 5


async def test_the_same_trouble_is_logged_once_and_another_one_again(transport, no_database):
    transport.refusals = [NOBODY, NOBODY, NOBODY, TopologyError("missing"), NOBODY]

    with capture_logs() as lines:
        async with supervising(transport, no_database) as under_test:
            await eventually(lambda: under_test.is_consuming)

    troubles = [line["error"] for line in lines if line["event"] == "consumer.not_consuming"]
    assert troubles == ["nobody answers", "missing", "nobody answers"]


async def test_trouble_that_comes_back_after_a_good_time_is_logged_again(transport, no_database):
    transport.refusals = [NOBODY]

    with capture_logs() as lines:
        async with supervising(transport, no_database) as under_test:
            await eventually(lambda: under_test.is_consuming)
            transport.refusals = [NOBODY]
            transport.end_sessions()
            await eventually(lambda: not transport.refusals and under_test.is_consuming)

    errors = [line["error"] for line in lines if line["event"] == "consumer.not_consuming"]
    assert errors.count("nobody answers") == 2


async def test_the_ceiling_of_its_pauses_doubles_up_to_the_longest_and_falls_after_a_good_time(transport, no_database):
    transport.refusals = [NOBODY] * 8

    async with supervising(transport, no_database) as under_test:
        ceilings = under_test.supervisor.ceilings
        await eventually(lambda: under_test.is_consuming)
        grown = list(ceilings)
        await asyncio.sleep(QUICK.longest_pause * 1.2)
        transport.end_sessions()
        await eventually(lambda: len(ceilings) > len(grown))

    assert all(later == min(earlier * 2, QUICK.longest_pause) for earlier, later in pairwise(grown))
    assert grown[-1] == QUICK.longest_pause
    assert ceilings[len(grown)] == QUICK.shortest_pause


async def test_stopping_interrupts_a_pause(transport, no_database):
    transport.refusals = [NOBODY] * 1000

    async with asyncio.timeout(2):
        async with supervising(transport, no_database, Pace(shortest_pause=1000, longest_pause=1000)) as under_test:
            await eventually(lambda: under_test.supervisor.trouble == "nobody answers")


async def test_a_session_that_has_gone_silent_while_messages_wait_is_replaced(no_database):
    transport = SilentTransport(QueueState(messages=3, consumers=1))

    async with supervising(transport, no_database) as under_test:
        await eventually(lambda: len(transport.opened) >= 2)
        await eventually(lambda: under_test.is_consuming)

    assert transport.opened[0] == (MAIL, 5)
    assert under_test.sample("tidings_sessions_stalled_total") >= 1


@pytest.mark.parametrize(
    ("state", "pace"),
    [
        (QueueState(messages=0, consumers=1), QUICK),
        (QueueState(messages=3, consumers=1), Pace(watch=0.01, silent=60)),
    ],
)
@pytest.mark.slow
async def test_a_session_that_is_silent_for_a_good_reason_is_kept(no_database, state, pace):
    transport = SilentTransport(state)

    async with supervising(transport, no_database, pace) as under_test:
        await eventually(lambda: under_test.is_consuming)
        await asyncio.sleep(0.2)

    assert len(transport.opened) == 1


@pytest.mark.slow
async def test_a_consumer_that_has_no_room_is_not_taken_for_a_silent_session(transport, no_database):
    async with supervising(transport, no_database) as under_test:
        await transport.send(*(a_message() for _ in range(9)))
        await eventually(lambda: not under_test.consumer.has_room(5))
        await asyncio.sleep(0.2)

        assert len(transport.sessions) == 1
        assert len(transport.waiting(MAIL)) == 4


async def test_a_session_that_cannot_be_asked_is_replaced(no_database):
    transport = SilentTransport(SessionLost("no answer"))

    async with supervising(transport, no_database):
        await eventually(lambda: len(transport.opened) >= 2)


async def test_the_check_passes_only_while_the_broker_sees_a_consumer(transport, no_database):
    async with supervising(transport, no_database) as under_test:
        await eventually(lambda: under_test.is_consuming)
        await transport.send(*(a_message() for _ in range(9)))
        await eventually(lambda: len(transport.waiting(MAIL)) == 4)

        assert await under_test.supervisor.check() == "1 consumers, 4 messages waiting"


async def test_the_check_fails_when_the_broker_sees_nobody(no_database):
    transport = SilentTransport(QueueState(messages=0, consumers=0))

    async with supervising(transport, no_database) as under_test:
        await eventually(lambda: under_test.is_consuming)
        with pytest.raises(SessionLost, match="no consumer"):
            await under_test.supervisor.check()


async def test_the_check_says_why_there_is_no_session(transport, no_database):
    transport.refusals = [NOBODY] * 1000
    under_test = Supervising(transport, no_database, QUICK)
    with pytest.raises(SessionLost, match="not started"):
        await under_test.supervisor.check()

    async with supervising(transport, no_database) as under_test:
        await eventually(lambda: under_test.supervisor.trouble == "nobody answers")
        with pytest.raises(SessionLost, match="nobody answers"):
            await under_test.supervisor.check()

    with pytest.raises(SessionLost, match="stopped"):
        await under_test.supervisor.check()


@pytest.mark.slow
async def test_the_check_fails_as_soon_as_it_drains(transport, no_database):
    under_test = Supervising(transport, no_database, QUICK)
    running = asyncio.create_task(under_test.supervisor.run(under_test.stop, grace_seconds=0.5))
    await eventually(lambda: under_test.is_consuming)
    await transport.send(a_message())
    await eventually(lambda: not under_test.consumer.has_room(1))

    under_test.stop.set()
    await eventually(lambda: under_test.supervisor.trouble == "draining")

    with pytest.raises(SessionLost, match="draining"):
        await under_test.supervisor.check()
    await running
