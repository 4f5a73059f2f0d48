"""The events: facts in the past tense that the producer announces on `domain.events`.

Additive change keeps the type: a new field needs a default, so that old messages still read. A breaking change
is a new class with a new type (`user.created.v2`) beside the old one. Secrets never ride in an event: a mail that
needs a link or a code gets an id here, and the link or code is derived from it when the mail is sent.
"""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.contracts import Contract

# Control characters could smuggle headers into a mail, so no address or name on the wire holds any.
EMAIL = r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+$"
LINE = r"^[^\x00-\x1f\x7f]*$"


class Event(Contract):
    """A fact. Its wire type is `<aggregate>.<past tense>`."""


class UserEvent(Event):
    """A fact about one user, addressed to that user."""

    user_id: UUID
    email: str = Field(max_length=254, pattern=EMAIL)
    name: str = Field(default="", max_length=200, pattern=LINE)
    locale: str = Field(default="en", max_length=35, pattern=r"^[A-Za-z0-9-]+$")

    @property
    def subject(self) -> str:
        """All facts about one user are published in the order in which they were committed."""
        return str(self.user_id)


class UserCreated(UserEvent):
    """Somebody registered; the address is not verified yet."""

    wire_type: ClassVar[str] = "user.created"

    verification_id: UUID


class UserEmailVerified(UserEvent):
    """The owner of the address followed the link."""

    wire_type: ClassVar[str] = "user.email_verified"


class UserPasswordResetRequested(UserEvent):
    """Somebody asked for a new password for this user."""

    wire_type: ClassVar[str] = "user.password_reset_requested"

    reset_id: UUID


class UserVerificationCodeRequested(UserEvent):
    """Somebody asked for a six-digit code to be sent to this user."""

    wire_type: ClassVar[str] = "user.verification_code_requested"

    code_id: UUID


EVENTS: tuple[type[Event], ...] = (
    UserCreated,
    UserEmailVerified,
    UserPasswordResetRequested,
    UserVerificationCodeRequested,
)
