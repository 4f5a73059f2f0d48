"""Runs tasks at messages under their guarantees, and turns whatever happens into outcomes.

Messages whose tasks only write to this database go together: one transaction, as long as nothing fails. If anything
does, it is rolled back, and each of them is run for itself.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from random import random
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bind_contextvars

from consumer_service.claim import Verdict
from consumer_service.database import DATABASE_ERRORS
from consumer_service.dispatch import AnyTask, Assignment, Key
from consumer_service.inbox import Inbox
from consumer_service.outcome import (
    DeadLetter,
    Done,
    Duplicate,
    Outcome,
    OutcomeUnknown,
    Reason,
    Released,
    Retry,
    TaskFailure,
    describe,
    fingerprint,
)
from consumer_service.retry import DEFER
from consumer_service.task import BatchTask, Context, Guarantee

T = TypeVar("T")

log: Any = structlog.get_logger()


class StrayCancellation(Exception):
    """Something beneath a task was cancelled, though nobody cancelled the task: a library lost its connection, say."""


class Execution:
    """Knows how each guarantee is kept. `draw` is the dice that spreads retries."""

    def __init__(self, inbox: Inbox, *, draw: Callable[[], float] = random) -> None:
        """Remember the inbox in whose transactions the transactional tasks run."""
        self._inbox = inbox
        self._draw = draw
        self._deadlines: set[asyncio.Timeout] = set()
        self._stopped = False

    def stop(self) -> None:
        """Start nothing more, and let the time of what runs be up now. What may be repeated is given back."""
        self._stopped = True
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    async def run(self, assignment: Assignment) -> Outcome:
        """Run the task once. Never raises but for cancellation, which leaves no transaction open."""
        if self._stopped:
            return Released()
        transactional = assignment.task.guarantee is Guarantee.TRANSACTIONAL
        ended = await _caught(self._run_in_transaction(assignment) if transactional else self._run(assignment))
        return self._failed(assignment, ended) if isinstance(ended, Exception) else ended

    async def run_together(self, assignments: Sequence[Assignment]) -> list[Outcome]:
        """Run these, which must be of one kind, as one; if that fails, run each for itself. Raises as `run` does.

        Returns their outcomes in their order.
        """
        if len(assignments) > 1 and not self._stopped:
            ended = await _caught(self._run_as_one(assignments))
            if not isinstance(ended, Exception):
                return ended
            log.info("batch.split", size=len(assignments), kind=type(ended).__name__)
        return [await self.run(each) for each in assignments]

    async def _run(self, assignment: Assignment) -> Outcome:
        await self._perform([assignment])
        return Done()

    async def _run_as_one(self, assignments: Sequence[Assignment]) -> list[Outcome]:
        if assignments[0].task.guarantee is not Guarantee.TRANSACTIONAL:
            await self._perform(assignments)
            return [Done() for _ in assignments]
        async with self._inbox.transaction(assignments) as (session, verdicts):
            granted = [each for each, verdict in zip(assignments, verdicts, strict=True) if verdict is Verdict.GRANTED]
            at_once = [granted] if isinstance(assignments[0].task, BatchTask) else [[each] for each in granted]
            for each in at_once:
                await self._perform(each, session)
        done = {_same(each) for each in granted}
        return [
            Done() if verdict is Verdict.GRANTED else Duplicate() if _same(each) in done else refused(verdict)
            for each, verdict in zip(assignments, verdicts, strict=True)
        ]

    async def _run_in_transaction(self, assignment: Assignment) -> Outcome:
        """A database that fails outside of the task's own statements spends none of its attempts."""
        has_begun = False
        try:
            async with self._inbox.transaction([assignment]) as (session, (verdict,)):
                if verdict is not Verdict.GRANTED:
                    return refused(verdict)
                has_begun = True
                await self._perform([assignment], session)
        except DATABASE_ERRORS as error:
            if has_begun and not _is_the_connection_lost(error):
                raise
            log.warning("inbox.unavailable", queue=assignment.delivery.queue, error=type(error).__name__)
            return Retry(DEFER, describe(error), spends_attempt=False)
        return Done()

    async def _perform(self, assignments: Sequence[Assignment], session: AsyncSession | None = None) -> None:
        """Call the task that these have in common, within its timeout."""
        if not assignments:
            return
        if self._stopped:
            raise TimeoutError
        task, contexts = assignments[0].task, [_context(each, session) for each in assignments]
        bind_contextvars(message_id=assignments[0].envelope.id, task=task.name, batch=len(assignments))
        try:
            async with asyncio.timeout(task.timeout.total_seconds()) as deadline:
                self._deadlines.add(deadline)
                try:
                    await _call(task, [each.envelope.data for each in assignments], contexts)
                finally:
                    self._deadlines.discard(deadline)
        except asyncio.CancelledError as error:
            if _are_we_cancelled():
                raise
            raise StrayCancellation from error

    def _failed(self, assignment: Assignment, error: Exception) -> Outcome:
        if not isinstance(error, TaskFailure):
            # The error's own text stays out of the log: a library may have quoted a person's data in it.
            log.warning("task.raised", kind=type(error).__name__, frames=traceback.format_tb(error.__traceback__)[-3:])
        if assignment.task.guarantee is Guarantee.AT_MOST_ONCE and _is_ambiguous(error):
            return DeadLetter(Reason.AMBIGUOUS, describe(error), fingerprint(assignment.task.name, error))
        if self._stopped and isinstance(error, TimeoutError):
            return Released()
        return assignment.task.retry.decide(assignment.task.name, error, _attempt(assignment), self._draw())


async def _caught(work: Awaitable[T]) -> T | Exception:
    """Return what the work returns, or what it raises."""
    try:
        return await work
    # A task may raise anything at all, and whatever it raises must become an outcome: this is the only place
    # that can promise that a worker survives its tasks.
    except Exception as error:  # noqa: BLE001 - whatever a task raises becomes an outcome
        return error


async def _call(task: AnyTask, messages: Sequence[Any], contexts: Sequence[Context]) -> None:
    if isinstance(task, BatchTask):
        await task.run_batch(messages, contexts)
    else:
        await task.run(messages[0], contexts[0])


def _context(assignment: Assignment, session: AsyncSession | None) -> Context:
    return Context(assignment.envelope, assignment.task.name, _attempt(assignment), session)


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
            return DeadLetter(Reason.AMBIGUOUS, "this was started before, and must not be repeated", "ambiguous")
        case Verdict.SUSPECT:
            return Released()  # It comes back marked as a redelivery, and so to where suspects are started alone.
        case _:
            return Retry(DEFER, "another delivery of this message is being worked on", spends_attempt=False)


def _same(assignment: Assignment) -> tuple[Key, bytes]:
    """By what two deliveries are the same message: also a body of its own, lest it be taken for done."""
    return assignment.key, assignment.body_hash


def _attempt(assignment: Assignment) -> int:
    return assignment.delivery.message.attempt


def _is_ambiguous(error: Exception) -> bool:
    """Whether the effect may have happened: only a TaskFailure that is not OutcomeUnknown says that it did not."""
    return isinstance(error, OutcomeUnknown) or not isinstance(error, TaskFailure)


def _is_the_connection_lost(error: Exception) -> bool:
    """Whether the transaction was lost with its connection, rather than refused for what is in it."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _are_we_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
