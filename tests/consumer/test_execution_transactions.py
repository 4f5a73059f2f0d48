"""How the guarantee of a transactional task is kept: its effect and its record happen together, or not at all."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from support.builders import a_message, an_envelope
from support.inboxes import an_assignment, statuses
from support.tasks import (
    QUICK,
    HangingTransactionalTask,
    TransactionalTask,
    effects,
)
from support.waiting import eventually

from consumer_service.execution import Execution
from consumer_service.inbox import Inbox
from consumer_service.outcome import (
    DeadLetter,
    Done,
    Duplicate,
    OutcomeUnknown,
    PermanentFailure,
    Retry,
    TemporaryFailure,
)
from consumer_service.retry import DEFER
from shared.transport import ATTEMPT

A_FAILURE_OF_EACH_KIND = [TemporaryFailure("busy"), OutcomeUnknown("no answer"), KeyError("name")]


class SleepingTask(TransactionalTask):
    """Is in the middle of a statement when its time is up."""

    timeout = timedelta(seconds=0.05)

    async def run(self, message, context):
        await super().run(message, context)
        await context.session.execute(text("SELECT pg_sleep(10)"))


class BereftTask(TransactionalTask):
    """Loses its database connection after its effect."""

    async def run(self, message, context):
        await super().run(message, context)
        await context.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


class ClumsyTask(TransactionalTask):
    """Asks the database for what it does not have."""

    async def run(self, message, context):
        await super().run(message, context)
        await context.session.execute(text("SELECT * FROM nowhere"))


@pytest.fixture
def execution(inbox):
    return Execution(inbox, draw=lambda: 0.5)


def on_attempt(attempt, task):
    return an_assignment(task=task, message=a_message(headers={ATTEMPT: attempt}))


async def test_a_transactional_task_is_done_together_with_its_effect(engine, execution):
    assignment = an_assignment(task=TransactionalTask())

    assert await execution.run(assignment) == Done()
    assert await execution.run(assignment) == Duplicate()

    assert await effects(engine) == {assignment.envelope.id: 1}
    assert await statuses(engine) == {assignment.envelope.id: "done"}


@pytest.mark.parametrize("error", [*A_FAILURE_OF_EACH_KIND, PermanentFailure("no")])
async def test_a_transactional_task_that_fails_leaves_no_trace(engine, execution, error):
    outcome = await execution.run(an_assignment(task=TransactionalTask(error)))

    assert isinstance(outcome, Retry | DeadLetter)
    assert (await effects(engine), await statuses(engine)) == ({}, {})


async def test_a_mistake_in_the_tasks_own_statements_spends_an_attempt(engine, execution):
    outcome = await execution.run(an_assignment(task=ClumsyTask()))

    assert outcome.spends_attempt
    assert await effects(engine) == {}


async def test_a_database_that_is_away_spends_no_attempt(without_database):
    outcome = await without_database.run(on_attempt(QUICK.limit, TransactionalTask()))

    assert (outcome.delay, outcome.spends_attempt) == (DEFER, False)


async def test_a_twin_that_waits_in_vain_for_the_other_spends_no_attempt(postgres_engine):
    envelope, holder = an_envelope(), Inbox(postgres_engine, worker="other")
    twin = Execution(LocksBriefly(postgres_engine, worker="this"))

    async with holder.transaction([an_assignment(envelope, task=TransactionalTask())]):
        outcome = await twin.run(on_attempt_of(envelope, QUICK.limit))

    assert (outcome.delay, outcome.spends_attempt) == (DEFER, False)


async def test_a_connection_that_is_lost_in_the_middle_spends_no_attempt(postgres_engine):
    execution = Execution(Inbox(postgres_engine, worker="this"))

    outcome = await execution.run(on_attempt(QUICK.limit, BereftTask()))

    assert (outcome.delay, outcome.spends_attempt) == (DEFER, False)
    assert await effects(postgres_engine) == {}


async def test_a_timeout_in_the_middle_of_a_statement_leaves_no_transaction_open(postgres_engine):
    execution = Execution(Inbox(postgres_engine, worker="this"))

    outcome = await execution.run(an_assignment(task=SleepingTask()))

    assert outcome.error.startswith("TimeoutError")
    assert await effects(postgres_engine) == {}
    await eventually(lambda: nothing_is_open(postgres_engine))


async def test_a_cancellation_in_the_middle_leaves_no_transaction_open(engine, inbox):
    task = HangingTransactionalTask()
    running = asyncio.create_task(Execution(inbox).run(an_assignment(task=task)))
    await eventually(lambda: task.started)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert await statuses(engine) == {}
    again = an_assignment(task=TransactionalTask())
    assert await Execution(inbox).run(again) == Done()


class LocksBriefly(Inbox):
    """Waits for a lock a tenth of a second only."""

    async def _claim(self, connection, *args, **kwargs):
        await connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
        return await super()._claim(connection, *args, **kwargs)


def on_attempt_of(envelope, attempt):
    return an_assignment(task=TransactionalTask(), message=a_message(envelope, headers={ATTEMPT: attempt}))


async def nothing_is_open(engine):
    query = (
        "SELECT count(*) = 0 FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    async with engine.connect() as connection:
        return await connection.scalar(text(query))
