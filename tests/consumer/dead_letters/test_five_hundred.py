"""What an operator meets on a bad morning: five hundred dead letters of four causes, one of which is mended."""

import pytest
from support.builders import a_message
from support.dead_letters import ANN, LONG, MAIL, a_collector, the_letters
from support.inboxes import statuses
from support.tasks import RecordingTask
from support.waiting import eventually

from consumer_service.dead_letters.campaign import Campaign, Pace, batches
from consumer_service.dead_letters.forecast import forecast
from consumer_service.dead_letters.looking import Filter, groups, identify
from consumer_service.dead_letters.readers import Readers
from consumer_service.lifecycle import State
from consumer_service.outcome import PermanentFailure, TemporaryFailure
from shared.transport import Message

pytestmark = pytest.mark.long

BUSY, UNKNOWN, BUG, MALFORMED = 240, 150, 80, 30
PACE = Pace(rate=1000, watch_seconds=60, look_seconds=0.1)


class TroubledTask(RecordingTask):
    """Fails in one of three ways, which it tells by the message, until that cause is mended."""

    def __init__(self, causes: dict[str, Exception]) -> None:
        super().__init__()
        self.causes = causes
        self.mended: set[type[Exception]] = set()

    async def run(self, message, context):
        cause = self.causes[context.envelope.id]
        if type(cause) not in self.mended:
            raise cause
        await super().run(message, context)


READERS = Readers((TroubledTask,))


@pytest.fixture
def morning():
    """The messages, and the task that will not do them."""
    causes = [TemporaryFailure("the server is busy")] * BUSY
    causes += [PermanentFailure("no such mailbox")] * UNKNOWN + [KeyError("name")] * BUG
    messages = [a_message() for _ in causes]
    task = TroubledTask({message.message_id: cause for message, cause in zip(messages, causes, strict=True)})
    return task, [*messages, *(Message(b"{", message_id=f"malformed-{number}") for number in range(MALFORMED))]


async def replay(engine, transport, collector, group):
    """Replay one group as the command line does; return the last word on it."""
    ids = await identify(engine, Filter(queue=group.queue, fingerprint=group.fingerprint))
    (batch,) = batches(await forecast(engine, READERS, ids))
    async with transport.publisher() as publisher:
        campaign = Campaign(
            engine=engine,
            publisher=publisher,
            collect=collector.collect_standing,
            readers=READERS,
            order=ANN,
            replayable=LONG,
            pace=PACE,
        )
        return [progress async for progress in campaign.run(batch)][-1]


async def test_four_causes_are_seen_and_one_is_replayed_when_it_is_mended_and_not_before(
    engine, transport, consume, morning
):
    (task, messages), collector = morning, a_collector(engine, transport, READERS)
    async with consume(task) as consuming:
        await transport.send(*messages)
        await eventually(lambda: len(transport.waiting(f"{MAIL}.dead")) == 500 and consuming.is_idle, within=60)

        assert await collector.collect_standing(MAIL) == 500
        found = await groups(engine, Filter())
        assert [(group.count, group.reason) for group in found] == [
            (BUSY, "retries_exhausted"),
            (UNKNOWN, "permanent_failure"),
            (BUG, "retries_exhausted"),
            (MALFORMED, "malformed"),
        ]

        stopped = await replay(engine, transport, collector, found[0])
        assert (stopped.sent, stopped.left) == (1, BUSY - 1)
        assert stopped.stopped.startswith("the same failure is back")
        await eventually(lambda: consuming.is_idle, within=20)

        task.mended.add(TemporaryFailure)
        await collector.collect_standing(MAIL)
        finished = await replay(engine, transport, collector, found[0])
        assert (finished.sent, finished.left, finished.stopped) == (BUSY, 0, "")
        await eventually(lambda: consuming.is_idle, within=20)

    await the_books_balance(engine, transport, task)


async def the_books_balance(engine, transport, task):
    letters, inbox = await the_letters(engine), await statuses(engine)
    replayed = {letter.message_id for letter in letters if letter.state is State.REPLAYED}
    waiting = {letter.message_id for letter in letters if letter.state is State.WAITING}
    assert (len(replayed), len(waiting)) == (BUSY, UNKNOWN + BUG + MALFORMED)
    assert {message_id for message_id, status in inbox.items() if status == "done"} == replayed
    assert {message_id for message_id, status in inbox.items() if status == "dead"} == waiting - {
        f"malformed-{number}" for number in range(MALFORMED)
    }
    assert set(task.runs) == replayed
    assert set(task.runs.values()) == {1}
    assert transport.waiting(MAIL) == transport.waiting(f"{MAIL}.dead") == []
