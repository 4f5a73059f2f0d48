"""May this task start on this message? A pure decision from what the inbox remembers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from consumer_service.task import Guarantee

CRASH_LIMIT = 3
"""A message that was being worked on while this many workers died is not given to another one."""

DEAD_AFTER = timedelta(seconds=20)
"""A worker not seen for this long, by the database's clock, holds nothing any more. Four missed heartbeats."""


class Status(StrEnum):
    """Where a task stands with a message."""

    STARTED = "started"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


class Verdict(StrEnum):
    """What the inbox says to a delivery that wants to start."""

    GRANTED = "granted"
    DONE = "done"
    HELD = "held"
    """Another delivery of the same message is being worked on right now."""
    SUSPECT = "suspect"
    """A worker died while it held this. It may be the reason, so it is started only when nothing else is running."""
    CRASH_LOOP = "crash_loop"
    """Too many workers died while they held this."""
    AMBIGUOUS = "ambiguous"
    """The task must not be repeated, and it may have been done: a worker died while it held this, or gave it up."""
    CONFLICT = "conflict"
    """This message id was seen before with another body."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """One row of the inbox, with the pulse of the worker that holds it. Times are the database's."""

    body_hash: bytes
    status: Status
    holder: str
    starts: int
    replays: int
    holder_seen_at: datetime | None
    now: datetime

    @property
    def holder_is_alive(self) -> bool:
        """Whether the holder's heartbeat is recent. A holder without a row has left, and let go."""
        return self.holder_seen_at is not None and self.now - self.holder_seen_at < DEAD_AFTER

    @property
    def next_starts(self) -> int:
        """How many starts there will be without a finish in between, if this is started now."""
        return self.starts + 1 if self.status is Status.STARTED else 1


def judge(
    row: Remembered, body_hash: bytes, guarantee: Guarantee, *, replays: int, is_mine: bool, alone: bool
) -> Verdict:
    """Decide. `is_mine`: this worker holds the row, but is not working on it. `alone`: nothing else is running here.

    What is dead is started again, because only a way back from dead letters brings it. But it may also be a
    redelivery whose settlement was lost: where the effect must not be repeated, only a newer replay counts.
    """
    may_repeat = guarantee is not Guarantee.AT_MOST_ONCE or replays > row.replays
    if row.body_hash != body_hash:
        return Verdict.CONFLICT
    if row.status is Status.DONE:
        return Verdict.DONE
    if row.status is Status.STARTED and not is_mine:
        return Verdict.HELD if row.holder_is_alive else _judge_orphan(row, may_repeat=may_repeat, alone=alone)
    if row.status is Status.DEAD and not may_repeat:
        return Verdict.AMBIGUOUS
    return Verdict.GRANTED


def _judge_orphan(row: Remembered, *, may_repeat: bool, alone: bool) -> Verdict:
    if not may_repeat:
        return Verdict.AMBIGUOUS
    if row.starts >= CRASH_LIMIT:
        return Verdict.CRASH_LOOP
    return Verdict.GRANTED if alone else Verdict.SUSPECT
