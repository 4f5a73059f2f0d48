"""The commands: wishes addressed to one task family on `domain.tasks`.

A command's wire type is `<family>.<verb>`; the queue of that family is bound to `<family>.#`.
"""

import hashlib
from typing import ClassVar

from pydantic import Field

from shared.contracts import Contract, Lane
from shared.events import EMAIL


class Command(Contract):
    """A wish. Its wire type is `<family>.<verb>`."""


class SendMail(Command):
    """Send one mail from a named template to one address."""

    wire_type: ClassVar[str] = "mail.send"
    owner: ClassVar[str] = "mail"
    lane: ClassVar[Lane] = Lane.BULK
    """Any service may send any number; who sends a mail that somebody waits for says so."""
    in_headers: ClassVar[tuple[tuple[str, ...], ...]] = (("to",), ("variables", "subject"))

    to: str = Field(
        max_length=254, pattern=EMAIL, description="The one address the mail goes to.", examples=["ann@example.org"]
    )
    template: str = Field(
        default="message",
        max_length=64,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="The name of the template that the mail is made from.",
        examples=["message"],
    )
    variables: dict[str, str] = Field(
        default_factory=dict,
        max_length=50,
        description="What the template fills in, by name.",
        examples=[{"subject": "Tuesday", "text": "We meet at ten."}],
    )
    locale: str = Field(
        default="en",
        max_length=35,
        pattern=r"^[A-Za-z0-9-]+$",
        description="The language of the mail, as a BCP 47 tag.",
        examples=["en"],
    )

    @property
    def subject(self) -> str:
        """Mails to one address keep their order. A digest, because context attributes travel in the clear."""
        return hashlib.sha256(self.to.casefold().encode()).hexdigest()[:32]


COMMANDS: tuple[type[Command], ...] = (SendMail,)
