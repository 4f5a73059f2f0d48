"""Sends whatever mail another service asks for."""

from typing import ClassVar

from consumer_service.correspondence import Correspondence
from consumer_service.effects.mailer import Mailer
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from shared import commands
from shared.contracts import Lane


class SendMail(Task[commands.SendMail]):
    """Obeys the command of the same name: one mail from a named template to one address."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # The asking service cannot know whether it arrived.
    lanes: ClassVar[tuple[Lane, ...]] = (Lane.NORMAL, Lane.BULK)  # A campaign keeps no code waiting.
    retry: ClassVar[RetryPolicy] = RetryPolicy()  # We do not know how urgent it is, so it gets the patience of mail.

    def __init__(self, *, mailer: Mailer, correspondence: Correspondence) -> None:
        """Take what writes mails and what sends them."""
        self._mailer = mailer
        self._correspondence = correspondence

    async def run(self, message: commands.SendMail, context: Context) -> None:
        """Send it. Raises PermanentFailure when the template is unknown or one of its variables is missing."""
        mail = self._correspondence.write(
            message.template, to=message.to, locale=message.locale, variables=message.variables, context=context
        )
        await self._mailer.send(mail)
