"""Why something that was offered is not taken, as data: what the web layer says with it is its own business."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Location = tuple[int | str, ...]


class Reason(StrEnum):
    """What kind of refusal it is."""

    INVALID = "invalid"
    OUT_OF_SCOPE = "out_of_scope"
    CONFLICT = "conflict"
    """Its id belongs to another message."""
    OVERSIZED = "oversized"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong. `header` names it where it stood in a header; otherwise `location` is in the body."""

    location: Location
    detail: str
    header: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one event is not taken; trying it again unchanged ends the same way."""

    reason: Reason
    errors: Sequence[FieldError]
    event_id: str | None = None


class Refused(Exception):
    """The whole request is refused."""

    def __init__(self, refusal: Refusal) -> None:
        """Say why."""
        super().__init__(refusal.reason)
        self.refusal = refusal


def refused(reason: Reason, location: Location, detail: str) -> Refused:
    """Return the refusal of a request for one thing."""
    return Refused(Refusal(reason, (FieldError(location, detail),)))
