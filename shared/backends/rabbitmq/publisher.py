"""Did the broker take it: publishing in batches, every message mandatory, persistent and confirmed."""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from time import monotonic

from shared.backends.rabbitmq.confirms import Batch, Confirms
from shared.backends.rabbitmq.session import LIBRARY_ERRORS, Session, describe, reraise_our_own_cancellation
from shared.transport import Fate, Outgoing, Receipt

CONFIRM_SECONDS = 10.0
"""How long a batch may wait for its confirms. A quorum queue confirms within milliseconds when it is well."""

REFUSAL_SECONDS = 5.0
"""How old a session must be to be replaced after a refusal. RabbitMQ 3.10 goes on refusing on a channel that once met
a full queue, also when there is room because its limit was raised; on another channel it takes the message."""

TOPIC = re.compile(r"access to topic '([^']*)'")
EXCHANGE = re.compile(r"exchange '([^']*)'")
"""How RabbitMQ names the culprit: ACCESS_REFUSED (403) for a topic or an exchange, NOT_FOUND (404) for an exchange."""


class RabbitPublisher:
    """Publishes over one session, opened when first needed and replaced after anything went wrong."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        confirm_seconds: float = CONFIRM_SECONDS,
        refusal_seconds: float = REFUSAL_SECONDS,
    ) -> None:
        """Remember where to publish. No connection is opened yet."""
        self._url = url
        self._name = name
        self._confirm_seconds = confirm_seconds
        self._refusal_seconds = refusal_seconds
        self._opened_at = 0.0
        self.sessions = 0
        self._in_the_air = 0
        self._session: Session | None = None
        self._confirms: Confirms | None = None
        self._opening = asyncio.Lock()

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked this connection to wait."""
        return self._session is not None and not self._session.ended and self._session.blocked

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Publish the batch; see `shared.transport.Publisher.publish`.

        A broker that refuses one message for its address (403, 404) closes the channel, which leaves its neighbours
        unknown; the guilty one is recognised by the broker's words. While the broker blocks us the session is kept:
        it still says when the alarm is over.
        """
        if not messages:
            return []
        session, confirms = await self._healthy_session()
        batch = Batch(messages)
        self._in_the_air += 1
        try:
            with session.watched_by(lambda: batch.give_up(session.reason)):
                await self._send_and_wait(session, confirms.send(messages, batch), batch)
        finally:
            self._in_the_air -= 1
        if self._should_be_replaced(session, batch):
            await self._discard(session, "a queue refused a message on it")
        return [
            _judge(receipt or Receipt(Fate.UNKNOWN), outgoing, session.reason)
            for receipt, outgoing in zip(batch.receipts, messages, strict=True)
        ]

    async def _send_and_wait(self, session: Session, sending: Awaitable[None], batch: Batch) -> None:
        is_sent = False
        try:
            async with asyncio.timeout(self._confirm_seconds):
                await sending
                is_sent = True
                await batch.answered
        except LIBRARY_ERRORS as error:
            if not is_sent:
                session.end(f"sending: {describe(error)}")  # Also while it is blocked: see `Confirms.send`.
            reraise_our_own_cancellation(error)
            batch.give_up(describe(error))
            if not session.blocked:
                await self._discard(session, describe(error))

    def _should_be_replaced(self, session: Session, batch: Batch) -> bool:
        """Whether a refusal may be due to the channel, and nobody else waits for an answer on it."""
        refused = any(receipt is not None and receipt.fate is Fate.REFUSED for receipt in batch.receipts)
        idle = session is self._session and not self._in_the_air
        return refused and idle and monotonic() - self._opened_at > self._refusal_seconds

    async def _healthy_session(self) -> tuple[Session, Confirms]:
        async with self._opening:
            if self._session is not None and self._session.ended:
                await self._discard(self._session, self._session.reason)
            if self._session is None or self._confirms is None:
                self._session = await Session.open(self._url, name=self._name, confirms=True)
                self._opened_at = monotonic()
                self.sessions += 1
                self._confirms = Confirms(self._session.channel)
                self._session.listen(self._confirms)
            return self._session, self._confirms

    async def _discard(self, session: Session, reason: str) -> None:
        session.end(reason)
        if self._session is session:
            self._session = None
        await session.close()

    async def close(self) -> None:
        """Close the session, if there is one. Messages still in the air become unknown."""
        if self._session is not None:
            await self._discard(self._session, "closed by us")


def _judge(receipt: Receipt, outgoing: Outgoing, reason: str) -> Receipt:
    """Tell the one whose address closed the channel from the innocents that were in the air beside it."""
    if receipt.fate is not Fate.UNKNOWN:
        return receipt
    topic, exchange = TOPIC.search(reason), EXCHANGE.search(reason)
    if topic and topic[1] == outgoing.routing_key:
        return Receipt(Fate.FORBIDDEN, reason)
    if exchange and exchange[1] == outgoing.exchange and not topic:
        return Receipt(Fate.REFUSED, reason)
    return receipt
