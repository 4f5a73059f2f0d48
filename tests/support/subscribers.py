"""Who listens in a fault test: two subscribers as a rule, and one for each guarantee where all books are kept.

| queue                   | task                 | guarantee                 | its effect    |
|-------------------------|----------------------|---------------------------|---------------|
| `consumer.mail`         | SendVerificationMail | at least once             | a mail        |
| `consumer.bookkeeping`  | Bookkeeping          | transactional             | a row         |
| `consumer.notification` | NotifyOperators      | at least once             | a signed call |
| `consumer.announcement` | Announcing           | at most once              | a call        |
| `consumer.indexing`     | Indexing             | transactional, in batches | a row         |
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

from support.bookkeeping import SOON, Bookkeeping, Indexing, fail_as_named

from consumer_service.correspondence import Correspondence
from consumer_service.dispatch import AnyTask
from consumer_service.effects.mailer import Mailer
from consumer_service.effects.webhook import Webhook, open_webhook
from consumer_service.registry import mail_tasks
from consumer_service.rendering import MailTemplates
from consumer_service.retry import RetryPolicy
from consumer_service.settings import Settings
from consumer_service.task import Context, Guarantee, Task
from consumer_service.tasks.notify_operators import NotifyOperators
from consumer_service.tasks.send_mail import SendMail
from consumer_service.tasks.verification_mail import SendVerificationMail
from consumer_service.tokens import Tokens
from shared.events import UserCreated

ANNOUNCEMENT = "announcement"
"""The kind of call by which the receiver tells announcements from notifications."""


class Announcing(Task[UserCreated]):
    """Calls the receiver, who knows no repetition, unless it fails before as the name of the user wants it."""

    queue: ClassVar[str] = "announcement"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_MOST_ONCE
    retry: ClassVar[RetryPolicy] = SOON

    def __init__(self, *, webhook: Webhook) -> None:
        self.webhook = webhook

    async def run(self, message: UserCreated, context: Context) -> None:
        fail_as_named(message, context)
        await self.webhook.post(ANNOUNCEMENT, {"id": context.envelope.id}, context.idempotency_key)


TWO: tuple[type[AnyTask], ...] = (SendVerificationMail, SendMail, Bookkeeping)
ALL: tuple[type[AnyTask], ...] = (*TWO, NotifyOperators, Announcing, Indexing)


def as_it_is(webhook: Webhook, _points: str) -> Webhook:
    """Call the receiver without more ado."""
    return webhook


@asynccontextmanager
async def open_subscribers(
    settings: Settings, mailer: Mailer, *, doomed: Callable[[Webhook, str], Webhook] = as_it_is
) -> AsyncIterator[list[AnyTask]]:
    """Build the tasks: all of them when the settings name a receiver of calls, else the first two.

    `doomed` may put points around the calls of a task, which begin with the letter that it is given.
    """
    secret = settings.link_secret.get_secret_value() if settings.link_secret else ""
    tasks = mail_tasks(
        mailer=mailer,
        correspondence=Correspondence(templates=MailTemplates(), sender=settings.mail_from or ""),
        tokens=Tokens(secret=secret, base_url=settings.link_base_url or ""),
    )
    two = [*(task for task in tasks if isinstance(task, SendVerificationMail)), Bookkeeping()]
    if settings.webhook_url is None or settings.webhook_secret is None:
        yield two
        return
    async with open_webhook(settings.webhook_url, settings.webhook_secret.get_secret_value()) as webhook:
        calling = [NotifyOperators(webhook=doomed(webhook, "N")), Announcing(webhook=doomed(webhook, "A"))]
        yield [*two, *calling, Indexing()]
