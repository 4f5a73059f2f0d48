"""What becomes of an outbox row, given what became of its message. Decided as data; the claim then acts on it."""

from dataclasses import dataclass

from producer_service.backoff import Backoff
from shared.transport import Fate, Receipt

ROW_BACKOFF = Backoff(first=1.0, most=60.0)

UNROUTABLE_DELAYS = (0.5, 1.5)
"""Seconds. A topology that is being applied at this moment has exchanges before it has bindings."""

LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Published:
    """Every bound queue holds it."""

    position: int


@dataclass(frozen=True, slots=True)
class Postponed:
    """It goes again after `delay` seconds, because another try may well end otherwise."""

    position: int
    delay: float
    error: str


@dataclass(frozen=True, slots=True)
class Parked:
    """Trying again cannot help until an operator acts."""

    position: int
    reason: str
    error: str


Verdict = Published | Postponed | Parked


def decide(position: int, attempts: int, receipt: Receipt, draw: float) -> Verdict:
    """Decide about the row at `position`, which had made `attempts` attempts before this one.

    `draw` in [0, 1) is the dice of the backoff: a uniformly random delay under 1 s, 2 s, 4 s, ... 60 s.
    """
    error = f"{receipt.fate}: {receipt.detail}"[:LONGEST_ERROR]
    match receipt.fate:
        case Fate.CONFIRMED:
            return Published(position)
        case Fate.UNROUTABLE if attempts < len(UNROUTABLE_DELAYS):
            return Postponed(position, UNROUTABLE_DELAYS[attempts], error)
        case Fate.UNROUTABLE | Fate.FORBIDDEN | Fate.INVALID:
            return Parked(position, receipt.fate, error)
        case Fate.REFUSED | Fate.UNKNOWN:
            return Postponed(position, ROW_BACKOFF.delay(attempts + 1, draw), error)
