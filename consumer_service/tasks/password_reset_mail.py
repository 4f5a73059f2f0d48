"""Sends the link to a user who wants a new password."""

from datetime import timedelta
from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from consumer_service.tokens import Tokens
from shared.events import UserPasswordResetRequested
from shared.proofs import RESET_PASSWORD_LIFETIME


class SendPasswordResetMail(Task[UserPasswordResetRequested]):
    """Sends the link under which a new password can be set."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # Somebody is locked out; a second link does no harm.
    # The link's life starts at sending, but after some hours whoever waited has asked again, and a reset mail out of
    # the blue on the next day looks like an attack: 7 attempts over about 5 hours.
    retry: ClassVar[RetryPolicy] = RetryPolicy(limit=7)

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence, tokens: Tokens) -> None:
        """Take what derives links, what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence
        self._tokens = tokens

    async def run(self, message: UserPasswordResetRequested, context: Context) -> None:
        """Sign the link now, and send it."""
        variables = {
            "name": message.name,
            "link": self._tokens.password_reset_link(message.reset_id, message.email),
            "minutes": RESET_PASSWORD_LIFETIME // timedelta(minutes=1),
        }
        mail = self._correspondence.write(
            "reset_password", to=message.email, locale=message.locale, variables=variables, context=context
        )
        await self._mailer.send(mail)
