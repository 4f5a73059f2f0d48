"""Messages whose tasks only write to the database share a transaction, and nobody pays for another's failure."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import event
from support.builders import a_message, a_user_created, an_envelope
from support.inboxes import an_assignment, remembered, statuses
from support.tasks import BatchRecordingTask, RecordingTask, TransactionalBatchTask, TransactionalTask, effects

from consumer_service.execution import Execution
from consumer_service.outcome import DeadLetter, Done, Duplicate, PermanentFailure, Released, Retry, TemporaryFailure


class SlowTask(TransactionalTask):
    """Takes longer than a fifth of its timeout, so that five of it would not fit into one."""

    timeout = timedelta(seconds=1)

    async def run(self, message, context):
        await super().run(message, context)
        await asyncio.sleep(0.25)


@pytest.fixture
def execution(inbox):
    return Execution(inbox)


@pytest.fixture
def commits(engine):
    """Every commit, as it happens."""
    seen = []

    def note(connection):
        seen.append(connection)

    event.listen(engine.sync_engine, "commit", note)
    yield seen
    event.remove(engine.sync_engine, "commit", note)


def several(task, count=5):
    return [an_assignment(task=task) for _ in range(count)]


async def test_several_share_one_commit_and_each_is_recorded_and_done(engine, execution, commits):
    assignments = several(TransactionalTask())

    outcomes = await execution.run_together(assignments)

    assert outcomes == [Done()] * 5
    assert len(commits) == 1
    assert set((await effects(engine)).values()) == {1}
    assert set((await statuses(engine)).values()) == {"done"}


@pytest.mark.parametrize("error", [TemporaryFailure("busy"), PermanentFailure("no"), KeyError("name")])
async def test_one_that_fails_fails_alone_and_leaves_nothing(engine, execution, error):
    innocent, guilty = TransactionalTask(), TransactionalTask(error, error)
    assignments = [*several(innocent, 2), an_assignment(task=guilty), *several(innocent, 2)]

    outcomes = await execution.run_together(assignments)

    assert [type(outcome) for outcome in outcomes[:2] + outcomes[3:]] == [Done] * 4
    assert isinstance(outcomes[2], Retry | DeadLetter)
    written = await effects(engine)
    assert sorted(written) == sorted(each.key.message_id for each in assignments if each.task is innocent)
    assert set(written.values()) == {1}
    assert await remembered(engine, assignments[2].key) is None


async def test_a_failure_that_does_not_come_back_costs_nobody_an_attempt(engine, execution):
    assignments = [*several(TransactionalTask(), 2), an_assignment(task=TransactionalTask(TemporaryFailure("once")))]

    outcomes = await execution.run_together(assignments)

    assert outcomes == [Done()] * 3
    assert set((await effects(engine)).values()) == {1}


async def test_one_that_was_done_before_is_a_duplicate_among_others(engine, execution):
    task = TransactionalTask()
    before, *fresh = several(task)
    await execution.run(before)

    outcomes = await execution.run_together([*fresh, before])

    assert outcomes == [Done()] * 4 + [Duplicate()]
    assert set((await effects(engine)).values()) == {1}


async def test_another_body_under_the_id_of_one_that_is_done_is_not_taken_for_done(engine, execution):
    task = TransactionalTask()
    bodies = [a_message(an_envelope(a_user_created(name=name), id="the same")) for name in ("Ann", "Bob")]

    outcomes = await execution.run_together([an_assignment(task=task, message=message) for message in bodies])

    assert [type(outcome) for outcome in outcomes] == [Done, Retry]
    assert not outcomes[1].spends_attempt
    assert await effects(engine) == {"the same": 1}


async def test_twins_that_come_together_are_done_once(engine, execution):
    task, message = TransactionalTask(), a_message(an_envelope())
    twins = [an_assignment(task=task, message=message) for _ in range(2)]

    outcomes = await execution.run_together([*several(task, 1), *twins])

    assert outcomes == [Done(), Done(), Duplicate()]
    assert set((await effects(engine)).values()) == {1}


@pytest.mark.slow
async def test_every_task_has_its_own_time(execution):
    assert await execution.run_together(several(SlowTask())) == [Done()] * 5


async def test_who_is_stopped_in_the_middle_gives_all_back(engine, inbox):
    execution = Execution(inbox)
    started = asyncio.Event()

    class Hanging(TransactionalTask):
        async def run(self, message, context):
            await super().run(message, context)
            started.set()
            await asyncio.sleep(60)

    running = asyncio.create_task(execution.run_together(several(Hanging(), 3)))
    await started.wait()
    execution.stop()

    assert await running == [Released()] * 3
    assert await effects(engine) == {}
    assert await statuses(engine) == {}


async def test_a_batch_task_gets_them_all_in_one_call(engine, execution, commits):
    task = TransactionalBatchTask()
    assignments = several(task)

    outcomes = await execution.run_together(assignments)

    assert outcomes == [Done()] * 5
    assert task.batches == [[each.envelope.id for each in assignments]]
    assert len(commits) == 1
    assert set((await effects(engine)).values()) == {1}


async def test_a_batch_that_fails_is_tried_one_by_one(engine, execution):
    task = TransactionalBatchTask()
    innocent, guilty = several(task, 3), an_assignment(task=task)
    task.refuses.add(guilty.envelope.id)

    outcomes = await execution.run_together([*innocent, guilty])

    assert outcomes[:3] == [Done()] * 3
    assert isinstance(outcomes[3], DeadLetter)
    assert [len(batch) for batch in task.batches] == [4, 1, 1, 1, 1]
    assert sorted(await effects(engine)) == sorted(each.key.message_id for each in innocent)


async def test_a_batch_with_effects_outside_repeats_them_under_the_same_keys(without_database):
    task = BatchRecordingTask()
    first, guilty = several(task, 2)
    task.refuses.add(guilty.envelope.id)

    outcomes = await without_database.run_together([first, guilty])

    assert outcomes[0] == Done()
    assert isinstance(outcomes[1], DeadLetter)
    keys = [context.idempotency_key for context in task.contexts if context.envelope.id == first.envelope.id]
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_one_that_comes_alone_is_a_batch_of_one(without_database):
    task = BatchRecordingTask()

    assert await without_database.run_together(several(task, 1)) == [Done()]

    assert [len(batch) for batch in task.batches] == [1]


async def test_together_with_others_a_plain_task_runs_alone(without_database):
    task = RecordingTask()

    assert await without_database.run(an_assignment(task=task)) == Done()

    assert len(task.contexts) == 1
