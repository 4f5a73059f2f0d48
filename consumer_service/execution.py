"""Runs one task at one message under its guarantee, and turns whatever happens into an outcome."""

import asyncio
import traceback
from collections.abc import Callable
from random import random
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from consumer_service.claim import Verdict
from consumer_service.dispatch import Assignment
from consumer_service.inbox import Inbox
from consumer_service.outcome import (
    DeadLetter,
    Done,
    Duplicate,
    Outcome,
    OutcomeUnknown,
    Reason,
    Retry,
    TaskFailure,
    describe,
    fingerprint,
)
from consumer_service.retry import DEFER
from consumer_service.task import Context, Guarantee

log: Any = structlog.get_logger()


class Execution:
    """Knows how each guarantee is kept. `draw` is the dice that spreads retries."""

    def __init__(self, inbox: Inbox, *, draw: Callable[[], float] = random) -> None:
        """Remember the inbox in whose transactions the transactional tasks run."""
        self._inbox = inbox
        self._draw = draw

    async def run(self, assignment: Assignment) -> Outcome:
        """Run the task once. Never raises but for cancellation, which leaves no transaction open."""
        try:
            if assignment.task.guarantee is Guarantee.TRANSACTIONAL:
                return await self._run_in_transaction(assignment)
            await _perform(assignment, Context(assignment.envelope, assignment.task.name, _attempt(assignment)))
        # A task may raise anything at all, and whatever it raises must become an outcome: this is the only place
        # that can promise that a worker survives its tasks.
        except Exception as error:  # noqa: BLE001
            return self._failed(assignment, error)
        return Done()

    async def _run_in_transaction(self, assignment: Assignment) -> Outcome:
        async with self._inbox.transaction([assignment]) as (session, (verdict,)):
            if verdict is Verdict.GRANTED:
                context = Context(assignment.envelope, assignment.task.name, _attempt(assignment), session)
                await _perform(assignment, context)
        return Done() if verdict is Verdict.GRANTED else refused(verdict)

    def _failed(self, assignment: Assignment, error: Exception) -> Outcome:
        if not isinstance(error, TaskFailure):
            # The error's own text stays out of the log: a library may have quoted a person's data in it.
            log.warning("task.raised", kind=type(error).__name__, stack=traceback.format_tb(error.__traceback__)[-3:])
        if _is_the_database_away(error):
            return Retry(DEFER, describe(error), spends_attempt=False)
        if assignment.task.guarantee is Guarantee.AT_MOST_ONCE and _is_ambiguous(error):
            return DeadLetter(Reason.AMBIGUOUS, describe(error), fingerprint(assignment.task.name, error))
        return assignment.task.retry.decide(assignment.task.name, error, _attempt(assignment), self._draw())


def refused(verdict: Verdict) -> Outcome:
    """Return the outcome for a delivery that the inbox did not let start."""
    match verdict:
        case Verdict.DONE:
            return Duplicate()
        case Verdict.CONFLICT:
            return DeadLetter(Reason.ID_CONFLICT, "this message id was seen before with another body", "id_conflict")
        case Verdict.CRASH_LOOP:
            return DeadLetter(Reason.CRASH_LOOP, "workers died while they worked on this message", "crash_loop")
        case Verdict.AMBIGUOUS:
            return DeadLetter(Reason.AMBIGUOUS, "a worker died during an effect that must not be repeated", "ambiguous")
        case _:
            return Retry(DEFER, "another delivery of this message is being worked on", spends_attempt=False)


async def _perform(assignment: Assignment, context: Context) -> None:
    async with asyncio.timeout(assignment.task.timeout.total_seconds()):
        await assignment.task.run(assignment.envelope.data, context)


def _attempt(assignment: Assignment) -> int:
    return assignment.delivery.message.attempt


def _is_ambiguous(error: Exception) -> bool:
    """Whether the effect may have happened: only a TaskFailure that is not OutcomeUnknown says that it did not."""
    return isinstance(error, OutcomeUnknown) or not isinstance(error, TaskFailure)


def _is_the_database_away(error: Exception) -> bool:
    """Whether the inbox's own database failed, rather than the task: that spends no attempt."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, PoolTimeout)
