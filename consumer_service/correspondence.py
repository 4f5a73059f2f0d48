"""Writes a mail: a rendered template, a recipient, and a Message-ID that stays the same however often it is sent."""

from collections.abc import Mapping
from uuid import UUID, uuid5

from consumer_service.mail import Mail, parse_sender
from consumer_service.rendering import MailTemplates
from consumer_service.task import Context

MESSAGE_IDS = UUID("f6cfe053-bc78-4192-be6e-3a2181709411")
"""The uuid5 namespace of our Message-IDs. Changing it makes every repeated mail look like a new one."""


class Correspondence:
    """What all mails of this service have in common: who sends them, and in whose name."""

    def __init__(self, *, templates: MailTemplates, sender: str) -> None:
        """Take the templates and the sender, `Name <name@domain>`; the texts speak in that name.

        Raises ValueError for a sender that `parse_sender` refuses.
        """
        self._templates = templates
        self._sender = parse_sender(sender)
        self._product = self._sender.display_name or self._sender.domain

    def write(self, template: str, *, to: str, locale: str, variables: Mapping[str, object], context: Context) -> Mail:
        """Return the mail that this task owes this message: the same Message-ID for every attempt, and no other.

        Raises PermanentFailure when the template or one of its variables is missing.
        """
        rendered = self._templates.render(template, locale, {**variables, "product": self._product})
        return Mail(
            message_id=f"<{uuid5(MESSAGE_IDS, context.idempotency_key)}@{self._sender.domain}>",
            sender=self._sender,
            to=to,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            locale=rendered.locale,
        )
