"""Which (task, message id) pairs were started and done: what makes a redelivery harmless.

The promise, by guarantee:

- transactional: the row and the task's own rows commit together, so both happen once or not at all.
- at least once: the row says `started` before the effect and `done` after it. A worker that dies between leaves
  `started`; the next holder repeats the effect with the same idempotency key.
- at most once: the same two commits, but a row left at `started` is never started again; it is ambiguous.

An inbox cannot make a mail exactly-once: the mail server does not take part in our transaction.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from consumer_service.claim import Remembered, Status, Verdict, judge
from consumer_service.dispatch import Assignment, Key
from consumer_service.driver import Database, one_statement, within
from consumer_service.inbox_rows import Finish, finish_rows, insert_rows, remembered, row_of, start_again

TAKES_OVER = frozenset({Verdict.GRANTED, Verdict.CRASH_LOOP, Verdict.AMBIGUOUS})
"""Verdicts by which this worker becomes the holder: to do the work, or to record that nobody will."""


class Inbox:
    """The inbox of one worker process. `worker` is the name under which it holds what it has started."""

    def __init__(self, engine: AsyncEngine, *, worker: str) -> None:
        """Remember the database. Every statement carries the engine's deadlines."""
        self._engine = engine
        self._worker = worker
        # Counted, because a twin may be started between the commit of an end and our taking note of it.
        self._working_on: Counter[Key] = Counter()

    async def start(self, wanted: Sequence[Assignment], *, alone: bool = False) -> list[Verdict]:
        """Start as many of these as may be started, commit, and return one verdict each, in this order.

        Whatever was granted, or refused as crash loop or ambiguous, must be finished. `alone` promises that nothing
        else runs in this process, so that suspects may be started too.
        """
        keys = {each.key for each in wanted}
        # Before the database shows them to others: a twin must not find them held by nobody.
        self._working_on.update(keys)
        taken: set[Key] = set()
        try:
            verdicts = await self._start(wanted, alone=alone)
            taken = _taken_over(wanted, verdicts)
        finally:
            self._forget(keys - taken)
        return verdicts

    async def _start(self, wanted: Sequence[Assignment], *, alone: bool) -> list[Verdict]:
        """Insert all, which is all there is to do for most; then take a transaction for those that were there."""
        async with one_statement(self._engine) as database:
            verdicts, known = await self._insert(database, wanted, Status.STARTED)
        if known:
            async with self._engine.begin() as connection:
                verdicts |= await self._claim_known(
                    connection, known, Status.STARTED, alone=alone, is_idle=self._is_nobody_elses
                )
        return _hand_out(wanted, verdicts)

    @asynccontextmanager
    async def transaction(self, wanted: Sequence[Assignment]) -> AsyncIterator[tuple[AsyncSession, list[Verdict]]]:
        """Open one transaction in which those that are granted are done. Leaving commits; raising leaves no trace.

        A twin that another worker is working on makes this wait for that worker's commit, up to the lock timeout.
        """
        async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            mine = {each.key for each in wanted if each.is_started_first and each.key in self._working_on}

            def is_idle(key: Key) -> bool:
                return key in mine or key not in self._working_on

            connection = await session.connection()
            verdicts, known = await self._insert(within(connection), wanted, Status.DONE)
            if known:
                verdicts |= await self._claim_known(connection, known, Status.DONE, alone=False, is_idle=is_idle)
            yield session, _hand_out(wanted, verdicts)

    async def finish(self, finishes: Sequence[Finish]) -> None:
        """Record how these ended, and commit. A pair that is done, or that another worker has taken, stays as it is."""
        if finishes:
            last = {finish.key: finish for finish in finishes}
            async with one_statement(self._engine) as database:
                await finish_rows(database, [last[key] for key in sorted(last)], holder=self._worker)
            self._forget(finish.key for finish in finishes)

    def _is_nobody_elses(self, key: Key) -> bool:
        """Whether the start that asks is the only one in this process that has taken note of this."""
        return self._working_on[key] <= 1

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._working_on[key] -= 1
            if self._working_on[key] <= 0:
                del self._working_on[key]

    async def _insert(
        self, database: Database, wanted: Sequence[Assignment], status: Status
    ) -> tuple[dict[Key, Verdict], list[Assignment]]:
        """Insert first: a concurrent twin waits here for the other's commit, and then finds the row.

        Returns a verdict for each that is new, and those that are not.
        """
        ordered = sorted({each.key: each for each in reversed(wanted)}.values(), key=_in_lock_order)
        rows = [row_of(each) for each in ordered]
        fresh = await insert_rows(database, rows, status=status, holder=self._worker)
        return dict.fromkeys(fresh, Verdict.GRANTED), [each for each in ordered if each.key not in fresh]

    async def _claim_known(
        self,
        connection: AsyncConnection,
        known: Sequence[Assignment],
        status: Status,
        *,
        alone: bool,
        is_idle: Callable[[Key], bool],
    ) -> dict[Key, Verdict]:
        rows = await remembered(connection, [each.key for each in known])
        verdicts = {each.key: self._judge(rows.get(each.key), each, alone=alone, is_idle=is_idle) for each in known}
        # What is refused here is not done, so a transaction that is about to say `done` must leave it as it is.
        taking = TAKES_OVER if status is Status.STARTED else {Verdict.GRANTED}
        taken_over = [each for each in known if verdicts[each.key] in taking]
        if taken_over:
            again = [row_of(each) | _starts(each, rows[each.key]) for each in taken_over]
            await start_again(connection, again, status=status, holder=self._worker)
        return verdicts

    def _judge(
        self, row: Remembered | None, each: Assignment, *, alone: bool, is_idle: Callable[[Key], bool]
    ) -> Verdict:
        if row is None:
            return Verdict.HELD  # Swept away since our insert found it; it will be asked for again.
        is_mine = row.holder == self._worker and is_idle(each.key)
        return judge(row, each.body_hash, each.task.guarantee, replays=each.replays, is_mine=is_mine, alone=alone)


def _starts(each: Assignment, row: Remembered) -> dict[str, Any]:
    return {"starts": row.next_starts, "replays": max(row.replays, each.replays)}


def _in_lock_order(each: Assignment) -> Key:
    """Two workers that want the same rows lock them in the same order, so neither waits for the other forever.

    Python sorts text as the database does bytewise; a database's own language might put `a` before `B`.
    """
    return each.key


def _hand_out(wanted: Sequence[Assignment], verdicts: dict[Key, Verdict]) -> list[Verdict]:
    """Give each key's verdict to the first that asked for it; its twins in the same batch find it held.

    The verdict was on the body of the first. Another body under the same id is held as well, and judged when it is
    asked for again.
    """
    answers, bodies = [], dict[Key, bytes]()
    for each in wanted:
        is_judged = bodies.setdefault(each.key, each.body_hash) == each.body_hash
        answers.append(verdicts[each.key] if is_judged else Verdict.HELD)
        if verdicts[each.key] in TAKES_OVER:
            verdicts[each.key] = Verdict.HELD
    return answers


def _taken_over(wanted: Sequence[Assignment], verdicts: Sequence[Verdict]) -> set[Key]:
    return {each.key for each, verdict in zip(wanted, verdicts, strict=True) if verdict in TAKES_OVER}
