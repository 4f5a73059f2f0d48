"""Sends a six-digit code, as long as it is of any use."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.outcome import PermanentFailure
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from consumer_service.tokens import VERIFICATION_CODE_LIFETIME, Tokens
from shared.events import UserVerificationCodeRequested


class SendVerificationCodeMail(Task[UserVerificationCodeRequested]):
    """Sends the code that somebody is waiting for in front of a screen."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # A second mail shows the same code.
    # The code is dead ten minutes after the request: 8 attempts over 8 and a half minutes, the last ones late enough
    # for a server that greylists for five.
    retry: ClassVar[RetryPolicy] = RetryPolicy(
        limit=8, first=timedelta(seconds=10), growth=2.0, longest=timedelta(minutes=2)
    )

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence, tokens: Tokens) -> None:
        """Take what derives codes, what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence
        self._tokens = tokens

    async def run(self, message: UserVerificationCodeRequested, context: Context) -> None:
        """Derive the code and send it. Raises PermanentFailure when it has expired: a dead code only confuses."""
        if datetime.now(UTC) - context.envelope.time > VERIFICATION_CODE_LIFETIME:
            raise PermanentFailure("the code expired before it could be sent")
        variables = {
            "name": message.name,
            "code": self._tokens.verification_code(message.code_id),
            "minutes": VERIFICATION_CODE_LIFETIME // timedelta(minutes=1),
        }
        mail = self._correspondence.write(
            "verification_code", to=message.email, locale=message.locale, variables=variables, context=context
        )
        await self._mailer.send(mail)
