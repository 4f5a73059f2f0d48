"""Sends a six-digit code, as long as somebody may still wait for it."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.outcome import PermanentFailure
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from consumer_service.tokens import Tokens
from shared.events import UserVerificationCodeRequested
from shared.proofs import CODE_LIFETIME, CODE_SENT_WITHIN


class SendVerificationCodeMail(Task[UserVerificationCodeRequested]):
    """Sends the code that somebody is waiting for in front of a screen."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # A second mail shows the same code, or one as good.
    # Its life begins when it is sent, but after two hours nobody is waiting any more: 17 attempts over about an hour
    # and three quarters, the first close together, because somebody sits and waits.
    retry: ClassVar[RetryPolicy] = RetryPolicy(
        limit=17, first=timedelta(seconds=10), growth=2.0, longest=timedelta(minutes=10)
    )

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence, tokens: Tokens) -> None:
        """Take what derives codes, what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence
        self._tokens = tokens

    async def run(self, message: UserVerificationCodeRequested, context: Context) -> None:
        """Derive the code now, and send it. Raises PermanentFailure when it was asked for too long ago."""
        now = datetime.now(UTC)
        if now - context.envelope.time > CODE_SENT_WITHIN:
            raise PermanentFailure("the code was asked for too long ago to be sent now")
        variables = {
            "name": message.name,
            "code": self._tokens.verification_code(message.code_id, message.email, now),
            "minutes": CODE_LIFETIME // timedelta(minutes=1),
        }
        mail = self._correspondence.write(
            "verification_code", to=message.email, locale=message.locale, variables=variables, context=context
        )
        await self._mailer.send(mail)
