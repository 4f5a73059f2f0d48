"""Tells a user that the password was changed, so that a change by somebody else does not go unnoticed."""

from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from shared.events import UserPasswordChanged


class SendPasswordChangedMail(Task[UserPasswordChanged]):
    """Sends the notice. It holds no link: mails that ask to sign in are what a forger sends."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # A second notice worries, a missing one hides a theft.
    retry: ClassVar[RetryPolicy] = RetryPolicy()  # It is worth knowing on the next morning as well.

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence) -> None:
        """Take what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence

    async def run(self, message: UserPasswordChanged, context: Context) -> None:
        """Send it."""
        mail = self._correspondence.write(
            "password_changed",
            to=message.email,
            locale=message.locale,
            variables={"name": message.name},
            context=context,
        )
        await self._mailer.send(mail)
