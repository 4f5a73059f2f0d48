"""Three RabbitMQ nodes of our own on this machine, joined into one cluster, of which some may die."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.pair import Scene
from support.private_rabbit import PrivateRabbit

NODES = 3


@dataclass(frozen=True)
class Cluster:
    """The nodes, the first of which the others have joined."""

    nodes: tuple[PrivateRabbit, ...]

    async def kill(self, scene: Scene, *nodes: PrivateRabbit) -> None:
        """Kill these at once, and lead clients to one that lives, as a load balancer before the cluster would."""
        for node in nodes:
            node.kill()
        survivor = next(node for node in self.nodes if node not in nodes)
        scene.retarget(survivor)

    async def restart(self, *nodes: PrivateRabbit) -> None:
        """Bring killed nodes back with the disks they had, side by side: one may wait for another."""
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in nodes))


@asynccontextmanager
async def open_cluster(server: Path) -> AsyncIterator[Cluster]:
    """Start and join three nodes; leave nothing of them behind. Takes about twenty seconds of one processor."""
    nodes = tuple(PrivateRabbit(server) for _ in range(NODES))
    try:
        await asyncio.to_thread(_start_and_join, nodes)
        yield Cluster(nodes)
    finally:
        for node in nodes:
            node.close()


def _start_and_join(nodes: tuple[PrivateRabbit, ...]) -> None:
    with ThreadPoolExecutor(NODES) as pool:
        list(pool.map(PrivateRabbit.start, nodes))
    first, *others = nodes
    for node in others:
        node.ctl("stop_app")
        node.ctl("join_cluster", first.node_name)
        node.ctl("start_app")
