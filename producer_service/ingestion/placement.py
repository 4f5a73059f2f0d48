"""Where in the outbox a sender wants its message: from when on it may be published, and in which lane.

Both are said as CloudEvents extension attributes, `deliverat` and `lane`. They are for the outbox and end there: nobody
who gets the message is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from producer_service.delays import moment_of_delivery
from producer_service.models import Status
from shared.contracts import Lane
from shared.errors import FieldProblem

NAMES = ("deliverat", "lane")
LANES: Mapping[Any, Lane] = {lane.name.lower(): lane for lane in Lane}


@dataclass(frozen=True, slots=True)
class Placement:
    """At once, and in the lane of its type, unless the sender says otherwise."""

    deliver_at: datetime | None = None
    lane: Lane | None = None

    def columns(self) -> dict[str, Any]:
        """Return what the outbox stores of the moment, by column."""
        status = Status.PENDING if self.deliver_at is None else Status.DELAYED
        return {"status": status.value, "deliver_at": self.deliver_at}


AT_ONCE = Placement()


def placement_of(attributes: Mapping[str, Any], *, longest: timedelta) -> Placement | list[FieldProblem]:
    """Return where it is to stand, or what is wrong with what was said of it. A moment that is past means at once."""
    lane, moment = attributes.get("lane"), attributes.get("deliverat")
    try:
        deliver_at = None if moment is None else _ahead(moment, longest)
    except ValueError as error:
        return [FieldProblem(("deliverat",), "deliverat", str(error))]
    if "lane" in attributes and not (isinstance(lane, str) and lane in LANES):
        return [FieldProblem(("lane",), "lane", f"must be one of {', '.join(LANES)}")]
    return Placement(deliver_at=deliver_at, lane=LANES.get(lane))


def _ahead(moment: object, longest: timedelta) -> datetime | None:
    """Return the moment, or None if it is past. Raises ValueError, with what would be right and not with what is."""
    try:
        read = datetime.fromisoformat(str(moment))
    except ValueError:
        raise ValueError("is no moment; write it as in 2026-11-22T14:30:00+01:00") from None
    moment_of_delivery(deliver_at=read, delay=None, longest=longest)
    return read if read > datetime.now(UTC) else None
