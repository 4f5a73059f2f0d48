"""The events: facts in the past tense that the producer announces on `domain.events`.

Additive change keeps the type: a new field needs a default, so that old messages still read. A breaking change
is a new class with a new type (`user.created.v2`) beside the old one. Secrets never ride in an event: a mail that
needs a link or a code gets an id here, and the link or code is derived from it when the mail is sent.

Docstrings, `owner`, and each field's `description` and `examples` are what others read about an event: see
`docs/events.md`, which is written from them.
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

    owner: ClassVar[str] = "accounts"
    in_headers: ClassVar[tuple[tuple[str, ...], ...]] = (("email",), ("name",))

    user_id: UUID = Field(description="The user this is about.", examples=["01890000-0000-7000-8000-00000000000a"])
    email: str = Field(
        max_length=254, pattern=EMAIL, description="The user's address at that time.", examples=["ann@example.org"]
    )
    name: str = Field(
        default="", max_length=200, pattern=LINE, description="What the user wants to be called.", examples=["Ann"]
    )
    locale: str = Field(
        default="en",
        max_length=35,
        pattern=r"^[A-Za-z0-9-]+$",
        description="The language that the user reads, as a BCP 47 tag.",
        examples=["en"],
    )

    @property
    def subject(self) -> str:
        """All facts about one user are published in the order in which they were committed."""
        return str(self.user_id)


class UserCreated(UserEvent):
    """Somebody registered; the address is not verified yet."""

    wire_type: ClassVar[str] = "user.created"

    verification_id: UUID = Field(
        description="What the link in the verification mail is derived from.",
        examples=["01890000-0000-7000-8000-00000000000b"],
    )


class UserVerificationRequested(UserEvent):
    """Somebody asked for another link with which this user, whose address is not verified yet, can verify it."""

    wire_type: ClassVar[str] = "user.verification_requested"

    verification_id: UUID = Field(
        description="What the link in the verification mail is derived from.",
        examples=["01890000-0000-7000-8000-00000000000b"],
    )


class UserEmailVerified(UserEvent):
    """The owner of the address followed the link."""

    wire_type: ClassVar[str] = "user.email_verified"


class UserPasswordResetRequested(UserEvent):
    """Somebody asked for a new password for this user."""

    wire_type: ClassVar[str] = "user.password_reset_requested"

    reset_id: UUID = Field(
        description="What the link to choose a new password is derived from.",
        examples=["01890000-0000-7000-8000-00000000000b"],
    )


class UserPasswordChanged(UserEvent):
    """The owner of the address has set a new password; every session and every older link is void."""

    wire_type: ClassVar[str] = "user.password_changed"


class UserVerificationCodeRequested(UserEvent):
    """Somebody asked for a six-digit code to be sent to this user."""

    wire_type: ClassVar[str] = "user.verification_code_requested"

    code_id: UUID = Field(
        description="What the six-digit code is derived from.", examples=["01890000-0000-7000-8000-00000000000b"]
    )


EVENTS: tuple[type[Event], ...] = (
    UserCreated,
    UserVerificationRequested,
    UserEmailVerified,
    UserPasswordResetRequested,
    UserPasswordChanged,
    UserVerificationCodeRequested,
)
