"""Publishers that record what they were given and answer as they are told."""

import asyncio
from collections.abc import Sequence

from shared.errors import BrokerUnavailable
from shared.transport import Fate, Outgoing, Receipt


class RecordingPublisher:
    """Confirms everything, unless told otherwise for a message id or for the broker as a whole."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.sent: list[Outgoing] = []
        self.fates: dict[str, Fate] = {}
        self.away = False
        self.blocked = False
        self.sessions = 1

    @property
    def ids(self) -> list[str]:
        """The id of every message published, in order."""
        return [message_id for batch in self.batches for message_id in batch]

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Receipt]:
        if self.away:
            raise BrokerUnavailable("localhost:5672: refused")
        self.sent += messages
        ids = [outgoing.message.message_id or "" for outgoing in messages]
        self.batches.append(ids)
        return [Receipt(self.fates.get(message_id, Fate.CONFIRMED), "as told") for message_id in ids]


class GatedPublisher(RecordingPublisher):
    """Answers only when the gate is open; `entered` tells that a batch is waiting in front of it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Receipt]:
        receipts = await super().publish(messages)
        self.entered.set()
        await self.gate.wait()
        return receipts
