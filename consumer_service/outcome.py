"""How a task can end, as data; and the two failures by which a task says what it knows about its own error."""

import hashlib
import re
import traceback
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """Why a delivery stands in dead letters. Written on the message and used as a metric label."""

    PERMANENT_FAILURE = "permanent_failure"
    RETRIES_EXHAUSTED = "retries_exhausted"
    CRASH_LOOP = "crash_loop"
    AMBIGUOUS = "ambiguous"
    ID_CONFLICT = "id_conflict"


@dataclass(frozen=True, slots=True)
class Done:
    """The work is committed; the delivery may be acked."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The work had been done before; the delivery may be acked."""


@dataclass(frozen=True, slots=True)
class Released:
    """The work was not started, or was stopped by us; the delivery goes back to its queue for any worker."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The delivery comes back after `delay`. `spends_attempt` is False when no attempt was made at all."""

    delay: timedelta
    error: str
    spends_attempt: bool = True


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The delivery goes to dead letters, with this reason. `fingerprint` is the same for failures of the same kind."""

    reason: str
    error: str
    fingerprint: str = ""


Outcome = Done | Duplicate | Released | Retry | DeadLetter


class TaskFailure(Exception):
    """A failure whose nature the task knows. The message reaches logs and dead letters: no addresses, no secrets."""


class TemporaryFailure(TaskFailure):
    """Trying again later may help. `retry_after` is the other side's own wish, where it gave one."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        """Say what failed."""
        super().__init__(message)
        self.retry_after = retry_after


class PermanentFailure(TaskFailure):
    """Trying again can never help; the delivery is dead-lettered at once."""


class OutcomeUnknown(TaskFailure):
    """The effect may or may not have happened. Tried again, unless the task must happen at most once."""


VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"", re.IGNORECASE)
"""The parts of an error's text that differ between two failures of one kind: ids, addresses, numbers, quoted values."""

LONGEST_LINE = 300


def describe(error: BaseException) -> str:
    """Return one line for logs and headers.

    Only a TaskFailure's text is trusted not to hold a person's data; of any other error, its type and its place.
    """
    if isinstance(error, TaskFailure):
        return as_line(f"{type(error).__name__}: {error}")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return as_line(f"{type(error).__name__}{place}")


def as_line(text: str) -> str:
    """Return what a header, a database and a terminal can all hold: one line, nothing that cannot be printed."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))[:LONGEST_LINE]


def fingerprint(task: str, error: BaseException) -> str:
    """Return twelve hex digits that failures of the same kind in the same task share."""
    return fingerprint_of(task, describe(error))


def fingerprint_of(task: str, described: str) -> str:
    """Return the fingerprint of an error that is at hand only as `describe` has written it down."""
    return hashlib.sha256(VARYING.sub("?", f"{task}|{described}").encode()).hexdigest()[:12]
