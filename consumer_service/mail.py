"""One mail as a value, and its form on the wire.

Every header value is checked here a second time, whatever the edge has checked before: what becomes a header comes
from a queue, and the standard library of some supported Python versions lets a newline through when it hides in an
encoded word (CVE-2024-6923).
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from consumer_service.outcome import PermanentFailure

LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
"""Every control character, and every other character at which some software starts a new line."""

ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?.*\?=", re.IGNORECASE)
"""RFC 2047. We encode headers ourselves, so a value that arrives encoded only wants to look like something else."""

DOMAIN = re.compile(r"[^\s()<>@,;:\\\"\[\]]+")
"""Anything that cannot end the address in a header. A comma here would make two recipients out of one."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person. `message_id` includes its angle brackets; `locale` is the language of the text.

    What would tell a reader of logs who wrote to whom about what is kept out of the representation.
    """

    message_id: str
    sender: Address
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    locale: str = "en"

    @property
    def recipient(self) -> Address:
        """The recipient's address, quoted where it must be. Raises PermanentFailure when it is none."""
        local, at, domain = _checked("To", self.to).rpartition("@")
        if not (local and at and DOMAIN.fullmatch(domain)):
            raise PermanentFailure("the recipient's address is not one that a mail can carry")
        return Address(username=local, domain=domain)

    @property
    def international(self) -> bool:
        """Whether an address needs SMTPUTF8 (RFC 6531) from every server on the way."""
        return not (self.to.isascii() and self.sender.addr_spec.isascii())

    def compose(self) -> EmailMessage:
        """Return the message, complete by its plain part alone and in seven bits, which any server can carry.

        Raises PermanentFailure, naming the header and never its value, when a value could smuggle in another one.
        """
        message = EmailMessage(policy=(SMTPUTF8 if self.international else SMTP).clone(cte_type="7bit"))
        message["Message-ID"] = _checked("Message-ID", self.message_id)
        message["Date"] = datetime.now(UTC)
        message["From"] = self.sender
        message["To"] = self.recipient
        message["Subject"] = _checked("Subject", self.subject)
        message["Auto-Submitted"] = "auto-generated"  # So that no out-of-office reply answers (RFC 3834).
        message.set_content(self.text)
        message.add_alternative(self.html, subtype="html")
        message["Content-Language"] = _checked("Content-Language", self.locale)  # Not above: it would move into a part.
        return message


def parse_sender(text: str) -> Address:
    """Read `Tidings <no-reply@example.org>` or a bare address. Raises ValueError, saying what is wrong with it."""
    name, _, bare = text.strip().rpartition("<")
    local, at, domain = bare.removesuffix(">").strip().rpartition("@")
    display = name.strip().strip('"')
    if not (local and at and DOMAIN.fullmatch(domain)) or bool(name) != bare.endswith(">"):
        raise ValueError("the sender is neither 'name@example.org' nor 'Name <name@example.org>'")
    if not domain.isascii():
        raise ValueError("the sender's domain must be written in its ASCII form (xn--...): it names our messages")
    if LINE_BREAKING.search(text) or ENCODED_WORD.search(text):
        raise ValueError("the sender holds a control character or an encoded word")
    return Address(display_name=display, username=local, domain=domain)


def _checked(header: str, value: str) -> str:
    if LINE_BREAKING.search(value):
        raise PermanentFailure(f"the {header} header of this mail would hold a line break or control character")
    if ENCODED_WORD.search(value):
        raise PermanentFailure(f"the {header} header of this mail would hold an encoded word")
    return value
