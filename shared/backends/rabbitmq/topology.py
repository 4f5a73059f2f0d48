"""Does the broker hold what the code needs: compared in full where its management API is named, else over AMQP."""

from collections.abc import Sequence

from shared.backends.rabbitmq import asking
from shared.backends.rabbitmq.advice import UNSEEN, advice_on, advice_on_version
from shared.backends.rabbitmq.declarations import exchanges, queues
from shared.backends.rabbitmq.differences import EXISTENCE, compare
from shared.backends.rabbitmq.management import Management
from shared.backends.rabbitmq.session import Session
from shared.errors import TopologyError
from shared.topology import DOMAIN_EVENTS, DOMAIN_TASKS, Advice, Difference, Remedy, Topology

PUBLIC = (DOMAIN_EVENTS, DOMAIN_TASKS)


class BrokerTopology:
    """The topology of one virtual host: planned, advised on, applied. Holds no connection between calls."""

    def __init__(self, url: str, *, name: str, management_url: str | None) -> None:
        """Without `management_url`, bindings and policies cannot be seen; advice says so."""
        self._url = url
        self._name = name
        self._management = Management(management_url, url) if management_url else None

    async def plan(self, topology: Topology) -> list[Difference]:
        """Return how the broker differs. Over AMQP it declares only what is known to exist, which changes nothing."""
        if self._management is not None:
            return compare(topology, await self._management.look())
        session = await self._open()
        try:
            found = [await asking.compare_exchange(session, exchange) for exchange in exchanges(topology)]
            found += [await asking.compare_queue(session, queue) for queue in queues(topology)]
        finally:
            await session.close()
        return [difference for difference in found if difference is not None]

    async def advise(self, topology: Topology) -> list[Advice]:
        """Return what an operator should know, as far as it can be seen."""
        if self._management is not None:
            return advice_on(topology, await self._management.look(), await self._management.condition())
        session = await self._open()
        try:
            version = session.channel.connection.server_properties.get("version", "")
        finally:
            await session.close()
        return [*advice_on_version(str(version)), UNSEEN]

    async def apply(self, topology: Topology) -> list[Difference]:
        """Create what is missing, and return what that was. What is there is not declared again.

        A policy may have made up for an argument that a declaration would be refused for. Raises TopologyError, with
        nothing created, when something must be replaced first; and when the broker refuses.
        """
        differences = await self.plan(topology)
        in_the_way = [difference for difference in differences if self._is_in_the_way(difference)]
        if in_the_way:
            raise TopologyError("nothing was created, because\n" + "\n".join(map(str, in_the_way)))
        mended = [difference for difference in differences if difference.remedy is Remedy.APPLY]
        if mended or self._management is None:
            await self._create(topology, mended)
        return mended

    def _is_in_the_way(self, difference: Difference) -> bool:
        """Over AMQP only the first wrong argument shows: behind one that a policy could mend may stand a worse one."""
        blind = self._management is None and difference.remedy is not Remedy.APPLY
        return blind or difference.remedy is Remedy.REPLACEMENT

    async def _create(self, topology: Topology, mended: Sequence[Difference]) -> None:
        session = await self._open()
        try:
            await _declare(session, topology, {each.thing for each in mended if each.aspect == EXISTENCE})
            bound_anew = {each.thing for each in mended}
            for queue in queues(topology):
                if self._management is None or f"queue {queue.name}" in bound_anew:
                    await asking.bind(session, queue)
        finally:
            await session.close()

    async def _open(self) -> Session:
        return await Session.open(self._url, name=self._name, confirms=False)


async def _declare(session: Session, topology: Topology, absent: set[str]) -> None:
    """Declare exchanges that producers publish to last, right before the bindings: until then producers wait."""
    wanted = [exchange for exchange in exchanges(topology) if f"exchange {exchange.name}" in absent]
    for exchange in wanted:
        if exchange not in PUBLIC:
            await asking.declare_exchange(session, exchange)
    for queue in queues(topology):
        if f"queue {queue.name}" in absent:
            await asking.declare_queue(session, queue)
    for exchange in wanted:
        if exchange in PUBLIC:
            await asking.declare_exchange(session, exchange)
