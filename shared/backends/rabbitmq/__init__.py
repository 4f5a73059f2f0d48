"""The promise kept by RabbitMQ 3.10 and later, over aio-pika.

Not `connect_robust`: a session here is disposable. Any sign of death ends the whole of it, and its user opens the
next one. What the rest of this folder answers: `session` - is the connection alive; `wire` - who hears a frame;
`frames` - what do the bytes say; `publisher` and `confirms` - did the broker take it; `subscription` and `arrivals` -
what did it bring, what may it forget; `headers` - what is carried on; `declarations` - which queues and arguments;
`topology` - does the broker hold them. That last one looks by `management`, which returns values of `live`, or by
`asking` over AMQP; `differences` and `advice` compare, and know from `policies` what a policy makes of an argument.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.backends.rabbitmq.publisher import RabbitPublisher
from shared.backends.rabbitmq.subscription import RabbitSubscription
from shared.backends.rabbitmq.topology import BrokerTopology
from shared.topology import Advice, Difference, Topology
from shared.transport import Capabilities


class RabbitTransport:
    """One RabbitMQ broker and virtual host. Holds no connection of its own."""

    capabilities = Capabilities(persistent=True, shared_between_processes=True)

    def __init__(self, url: str, *, name: str, management_url: str | None = None) -> None:
        """Remember where the broker is; `name` is what the management UI shows for our connections.

        `management_url` is for `plan`, `advise` and `apply`, which see all that differs only where it is given.
        """
        self._url = url
        self._name = name
        self._topology = BrokerTopology(url, name=f"{name} topology", management_url=management_url)

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[RabbitPublisher]:
        """Return a publisher with a connection of its own, opened when first used."""
        publisher = RabbitPublisher(self._url, name=f"{self._name} publishing")
        try:
            yield publisher
        finally:
            await publisher.close()

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator[RabbitSubscription]:
        """Consume a queue over a connection of its own; moves are published over another."""
        async with self.publisher() as mover:
            subscription = await RabbitSubscription.open(
                self._url, name=f"{self._name} {queue}", queue=queue, prefetch=prefetch, mover=mover
            )
            try:
                yield subscription
            finally:
                await subscription.close()

    async def plan(self, topology: Topology) -> Sequence[Difference]:
        """Compare all there is, by the management API; over AMQP existence, kinds and the first wrong argument."""
        return await self._topology.plan(topology)

    async def advise(self, topology: Topology) -> Sequence[Advice]:
        """Look at version, feature flags, guest, consumers, and what nobody needs; over AMQP at the version only."""
        return await self._topology.advise(topology)

    async def apply(self, topology: Topology) -> Sequence[Difference]:
        """Declare and bind what is missing; repeating it changes nothing. Needs the right to configure."""
        return await self._topology.apply(topology)
