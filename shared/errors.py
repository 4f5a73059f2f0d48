"""Everything that can go wrong between the services, as one tree.

TidingsError
├── EnvelopeError            this message can never be read; it belongs in dead letters, with `reason`
│   ├── MalformedEnvelope    not JSON, not UTF-8, nested too deep, not an object
│   ├── InvalidEnvelope      JSON, but not a CloudEvent, or its data does not fit its type
│   ├── UnknownType          a CloudEvent of a type nobody here has heard of
│   ├── UnsupportedVersion   a type we know, in a version we do not
│   ├── UpcastFailed         an old version that could not be brought up to the one a task reads
│   └── OversizedMessage     larger than the agreed limit; not even parsed
├── TransportError           the broker, not the message; trying again later is right
│   ├── BrokerUnavailable    no session could be opened before the deadline
│   ├── SessionLost          the session died; what it held will be delivered again
│   └── MoveNotConfirmed     no copy of the delivery is known to be safe, so the original stays unsettled
└── TopologyError            the broker does not hold what the code needs; an operator must act
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class TidingsError(Exception):
    """Something between the two services went wrong."""


class EnvelopeError(TidingsError):
    """This message can never be read, however often it is delivered."""

    reason: ClassVar[str] = "unreadable"


class MalformedEnvelope(EnvelopeError):
    """The body is not a JSON object in UTF-8."""

    reason = "malformed"


class FieldProblem(NamedTuple):
    """One thing that is wrong with one field: where it is, which rule it breaks, and what would be right."""

    location: tuple[str | int, ...]
    rule: str
    detail: str


class InvalidEnvelope(EnvelopeError):
    """The body is JSON, but it is not a CloudEvent or its data does not fit its type."""

    reason = "invalid"

    def __init__(self, message: str, problems: Sequence[FieldProblem] = ()) -> None:
        """`problems` lists every field that is wrong, where it is known which; none of them quotes a value."""
        super().__init__(message)
        self.problems = tuple(problems)


class UnknownType(EnvelopeError):
    """A CloudEvent of a type that this reader was never taught."""

    reason = "unknown_type"


class UnsupportedVersion(EnvelopeError):
    """A known type in an unknown version: the writer is ahead of this reader, or long behind it."""

    reason = "unsupported_version"


class UpcastFailed(EnvelopeError):
    """An old version whose upcaster did not expect this shape."""

    reason = "upcast_failed"


class OversizedMessage(EnvelopeError):
    """The body is larger than the agreed limit; it was not parsed."""

    reason = "oversized"


class TransportError(TidingsError):
    """The broker could not do its part. The message is not at fault."""


class BrokerUnavailable(TransportError):
    """No session with the broker could be opened before the deadline. Nothing was sent."""


class SessionLost(TransportError):
    """The session died. Whatever it held unsettled will be delivered again."""


class MoveNotConfirmed(TransportError):
    """No copy of this delivery is known to be safe, so the original stays unsettled."""


class TopologyError(TidingsError):
    """The broker does not hold what the code needs. Says which thing differs, with both values."""
