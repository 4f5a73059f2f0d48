import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import an_envelope
from support.dead_letters import ANN, LONG, MAIL, NOTIFICATION, READERS, a_dead_message, audited, buried, the_letters
from support.inboxes import Inbox, an_assignment, done
from support.publishers import RecordingPublisher

from consumer_service.dead_letters.campaign import Batch, Campaign, Pace, batches, stages
from consumer_service.dead_letters.forecast import Forecast, Prospect
from consumer_service.dead_letters.watching import Result
from consumer_service.lifecycle import State
from shared.errors import BrokerUnavailable
from shared.transport import Fate

QUICK = Pace(rate=1000, watch_seconds=0.2, look_seconds=0.01)
PATIENT = Pace(rate=1000, watch_seconds=30, look_seconds=0.01)


class Worker:
    """Does at once what is published: well, or failing as it is told. Brings what died back when asked to collect."""

    def __init__(self, engine, inbox: Inbox) -> None:
        self.publisher = RecordingPublisher()
        self.errors: dict[str, str] = {}
        self.idle = False
        self._engine = engine
        self._inbox = inbox
        self._taken = 0

    async def collect(self, _queue: str) -> None:
        if self.idle:
            return
        fresh, self._taken = self.publisher.sent[self._taken :], len(self.publisher.sent)
        for sent in fresh:
            await self._work(sent.message)

    async def _work(self, message):
        error = self.errors.get(message.message_id)
        if error is None:
            assignment = an_assignment(message=message)
            await self._inbox.start([assignment])
            await self._inbox.finish(done(assignment))
            return
        notes = a_dead_message(an_envelope(id=message.message_id), error=error, replays=1).headers
        again = a_dead_message(headers=notes, body=message.body, message_id=message.message_id)
        await buried(self._engine, again)


@pytest.fixture
def worker(engine, inbox) -> Worker:
    return Worker(engine, inbox)


def a_campaign(engine, worker, pace=PATIENT):
    return Campaign(
        engine=engine,
        publisher=worker.publisher,
        collect=worker.collect,
        readers=READERS,
        order=ANN,
        replayable=LONG,
        pace=pace,
    )


async def a_batch(engine, count):
    letters = await buried(engine, *(a_dead_message() for _ in range(count)))
    return Batch(MAIL, letters[0].fingerprint, tuple(letter.id for letter in letters)), letters


async def run(campaign, batch):
    return [progress async for progress in campaign.run(batch)]


def waves(progresses):
    return list(dict.fromkeys(progress.sent for progress in progresses))


async def test_one_goes_first_then_ten_then_the_rest(engine, worker):
    batch, _ = await a_batch(engine, 30)

    progresses = await run(a_campaign(engine, worker), batch)

    assert waves(progresses)[:2] == [1, 11]
    assert (progresses[-1].sent, progresses[-1].left, progresses[-1].stopped) == (30, 0, "")
    assert progresses[-1].results == {Result.DONE: 30}


async def test_it_stops_after_the_canary_when_the_same_failure_is_back(engine, worker):
    batch, letters = await a_batch(engine, 30)
    worker.errors = {letter.message_id: letter.error for letter in letters}

    progresses = await run(a_campaign(engine, worker), batch)

    assert (progresses[-1].sent, progresses[-1].left) == (1, 29)
    assert progresses[-1].stopped == "the same failure is back (1)"
    assert {letter.state for letter in await the_letters(engine)} == {State.WAITING}


async def test_a_canary_that_dies_of_something_else_stops_it_too(engine, worker):
    batch, letters = await a_batch(engine, 30)
    worker.errors = {letters[4].message_id: "KeyError at mail.py:7"}

    progresses = await run(a_campaign(engine, worker), batch)

    assert (progresses[-1].sent, progresses[-1].stopped) == (11, "the canary died of something else (1)")


async def test_without_anybody_to_do_the_work_it_goes_no_further_than_the_canary(engine, worker):
    batch, _ = await a_batch(engine, 30)
    worker.idle = True

    progresses = await run(a_campaign(engine, worker, QUICK), batch)

    assert progresses[-1].sent == 1
    assert progresses[-1].stopped == "the canary has not finished within 0.2 s; is a worker running?"


@pytest.mark.slow
async def test_it_stops_in_the_middle_of_the_rest_when_the_same_failure_is_back(engine, worker):
    batch, letters = await a_batch(engine, 300)
    worker.errors = {letter.message_id: letter.error for letter in letters[50:]}

    progresses = await run(a_campaign(engine, worker), batch)

    assert progresses[-1].stopped.startswith("the same failure is back")
    assert 11 < progresses[-1].sent < 300


async def test_of_the_rest_some_may_die_of_other_things(engine, worker):
    batch, letters = await a_batch(engine, 30)
    worker.errors = {letters[20].message_id: "KeyError at mail.py:7"}

    progresses = await run(a_campaign(engine, worker), batch)

    assert progresses[-1].results == {Result.DONE: 29, Result.DIED: 1}
    assert progresses[-1].stopped == ""


async def test_given_again_it_goes_on_with_what_is_left(engine, worker):
    batch, letters = await a_batch(engine, 30)
    worker.errors = {letters[0].message_id: letters[0].error}
    await run(a_campaign(engine, worker), batch)
    worker.errors = {}

    progresses = await run(a_campaign(engine, worker), batch)

    assert progresses[-1].sent == 30
    assert {letter.state for letter in await the_letters(engine)} == {State.REPLAYED}


async def test_without_a_canary_all_go_at_once(engine, worker):
    batch, _ = await a_batch(engine, 30)
    worker.idle = True

    progresses = await run(a_campaign(engine, worker, Pace(rate=1000, canary=False, watch_seconds=0)), batch)

    assert (progresses[-1].sent, progresses[-1].stopped) == (30, "")
    assert progresses[-1].results == {Result.TRYING: 30}


@pytest.mark.slow
async def test_the_rate_is_kept(engine, worker):
    batch, _ = await a_batch(engine, 10)
    began = asyncio.get_running_loop().time()

    await run(a_campaign(engine, worker, Pace(rate=20, canary=False, watch_seconds=0)), batch)

    assert asyncio.get_running_loop().time() - began >= 10 / 20


async def test_what_the_broker_does_not_take_ends_it_and_is_not_held_against_the_canary(engine, worker):
    batch, letters = await a_batch(engine, 3)
    worker.publisher.fates[letters[0].message_id] = Fate.UNROUTABLE

    (progress,) = await run(a_campaign(engine, worker), batch)

    assert (progress.sent, progress.left, progress.refused) == (0, 2, True)
    assert progress.stopped == "the broker has not confirmed 1 of them: unroutable, as told"


async def test_a_broker_that_is_away_ends_it_and_everything_waits(engine, worker):
    batch, _ = await a_batch(engine, 3)
    worker.publisher.away = True

    with pytest.raises(BrokerUnavailable):
        await run(a_campaign(engine, worker), batch)

    assert {letter.state for letter in await the_letters(engine)} == {State.WAITING}


async def test_what_somebody_else_has_taken_is_left_to_them(engine, worker):
    batch, _ = await a_batch(engine, 12)
    worker.idle = True
    await run(a_campaign(engine, worker, Pace(rate=1000, canary=False, watch_seconds=0)), batch)

    *_, progress = await run(a_campaign(engine, worker), batch)

    assert (progress.sent, progress.stopped) == (0, "somebody else is replaying these")


async def test_each_replay_says_who_and_why(engine, worker):
    batch, letters = await a_batch(engine, 2)

    await run(a_campaign(engine, worker), batch)

    assert await audited(engine) == [("replay", "ann", "the server works again", letter.id) for letter in letters]


def a_forecast(id_, prospect=Prospect.RUNS, *, queue=MAIL, fingerprint="f"):
    return Forecast(id_, queue, fingerprint, "m", None, None, None, prospect, "")


def test_each_cause_in_each_queue_is_a_batch_of_its_own():
    found = [a_forecast(1), a_forecast(2, fingerprint="g"), a_forecast(3, queue=NOTIFICATION), a_forecast(4)]

    assert [batch.ids for batch in batches(found)] == [(1, 4), (2,), (3,)]


def test_those_that_are_skipped_come_last_and_those_that_would_die_stay_out():
    found = [a_forecast(1, Prospect.SKIPPED), a_forecast(2, Prospect.DIES), a_forecast(3)]

    assert [batch.ids for batch in batches(found)] == [(3, 1)]


@given(ids=st.lists(st.integers(), max_size=50, unique=True), canary=st.booleans())
def test_stages_send_everything_once_and_in_order(ids, canary):
    parts = list(stages(ids, canary=canary))

    assert [each for part in parts for each in part] == ids
    assert all(parts)
    assert not canary or [len(part) for part in parts[:2]] == [
        n for n in (min(1, len(ids)), min(10, len(ids) - 1)) if n > 0
    ]
