"""What every event and command has in common: a wire type, a subject, a lane, and tolerance for additive change."""

import re
from enum import IntEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

WIRE_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
"""Lower-case words joined by dots: `user.created`, `mail.send`; a breaking change adds `.v2` beside the old one."""

LONGEST_WIRE_TYPE = 255
"""The wire type is the AMQP routing key, a short string of at most 255 bytes (AMQP 0-9-1, 4.2.5.3)."""


class Lane(IntEnum):
    """Which line a message stands in, from the outbox to the task. Order holds within a lane, not between two."""

    NORMAL = 0
    """Whatever somebody waits for: codes, links, notifications. It never waits behind bulk."""
    BULK = 1
    """What may wait: campaigns, imports, digests. It has a share of everything for itself, so it never starves."""


class Contract(BaseModel):
    """A message two services agree on. Readers ignore fields they do not know, so adding one is not breaking."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire_type: ClassVar[str]

    owner: ClassVar[str] = ""
    """The team that answers for this message. The documents name it, and are refused where nobody does."""

    lane: ClassVar[Lane] = Lane.NORMAL
    """Where it stands unless its sender says otherwise. What comes in large numbers says bulk, so that nobody who sends
    it has to know what else is waiting."""

    in_headers: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Where the values are that a mail may have in a header. A door for strangers takes no line break there."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a wire type that could not be routed, when the class is defined rather than when it is sent."""
        super().__pydantic_init_subclass__(**kwargs)
        wire_type = cls.__dict__.get("wire_type")
        if wire_type is not None and not (WIRE_TYPE.fullmatch(wire_type) and len(wire_type) <= LONGEST_WIRE_TYPE):
            raise TypeError(f"{cls.__name__}.wire_type {wire_type!r} is not lower-case words joined by dots")

    @property
    def subject(self) -> str:
        """The id of the aggregate this message is about; messages with one subject keep their order."""
        raise NotImplementedError(f"{type(self).__name__} must say what its subject is")
