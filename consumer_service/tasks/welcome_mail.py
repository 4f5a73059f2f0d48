"""Welcomes a user whose address is proved."""

from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from shared.events import UserEmailVerified


class SendWelcomeMail(Task[UserEmailVerified]):
    """Sends the welcome mail once the address is known to be the user's own."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # A second welcome is odd, a missing one is rude.
    retry: ClassVar[RetryPolicy] = RetryPolicy()  # Nobody waits for it, so it may outlast a night's outage.

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence) -> None:
        """Take what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence

    async def run(self, message: UserEmailVerified, context: Context) -> None:
        """Send it."""
        mail = self._correspondence.write(
            "welcome", to=message.email, locale=message.locale, variables={"name": message.name}, context=context
        )
        await self._mailer.send(mail)
