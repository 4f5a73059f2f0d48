"""Tells the operators' own systems that somebody registered."""

from datetime import timedelta
from typing import ClassVar

from consumer_service.effects.webhook import Webhook
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from shared.events import UserCreated


class NotifyOperators(Task[UserCreated]):
    """Posts the new user's id to the webhook. No address and no name: the other side can ask for what it may know."""

    queue: ClassVar[str] = "notification"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE  # The receiver recognises a repetition by its id.
    retry: ClassVar[RetryPolicy] = RetryPolicy()  # It is no less true tomorrow, and a receiver may be down overnight.
    timeout: ClassVar[timedelta] = timedelta(seconds=15)  # More than the webhook's own ten, so that it can say why.

    def __init__(self, *, webhook: Webhook) -> None:
        """Take where to post."""
        self.webhook = webhook

    async def run(self, message: UserCreated, context: Context) -> None:
        """Post it."""
        envelope = context.envelope
        body = {
            "event": envelope.type,
            "id": envelope.id,
            "time": envelope.time.isoformat(),
            "user_id": str(message.user_id),
        }
        await self.webhook.post(envelope.type, body, context.idempotency_key)
