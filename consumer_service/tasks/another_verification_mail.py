"""Sends another link to a user whose address is not verified yet, and who has asked for one."""

from datetime import timedelta
from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from consumer_service.tokens import Tokens
from shared.events import UserVerificationRequested
from shared.proofs import VERIFY_EMAIL_LIFETIME


class SendAnotherVerificationMail(Task[UserVerificationRequested]):
    """Sends the link by which a user verifies the address, once more; the one before it is void."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # Without it the account is useless; twice does no harm.
    retry: ClassVar[RetryPolicy] = RetryPolicy()  # The link's life starts at sending, so a late mail is as good.

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence, tokens: Tokens) -> None:
        """Take what derives links, what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence
        self._tokens = tokens

    async def run(self, message: UserVerificationRequested, context: Context) -> None:
        """Sign the link now, and send it."""
        variables = {
            "name": message.name,
            "link": self._tokens.verification_link(message.verification_id, message.email),
            "hours": VERIFY_EMAIL_LIFETIME // timedelta(hours=1),
        }
        mail = self._correspondence.write(
            "verify_email", to=message.email, locale=message.locale, variables=variables, context=context
        )
        await self._mailer.send(mail)
