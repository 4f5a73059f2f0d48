"""Three nodes, and one or two of them die; a load balancer leads clients to a node that lives."""

from collections.abc import AsyncIterator

import pytest
from support.cluster import Cluster, open_cluster
from support.composition import open_pair, open_scene
from support.private_rabbit import find_server
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault, pytest.mark.slow_fault, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    server = find_server()
    if server is None:
        pytest.skip("no rabbitmq-server here of which three could be started")
    async with open_cluster(server) as cluster:
        yield cluster


@pytest.fixture
async def pair(cluster, postgres):
    async with open_scene(cluster.nodes[0], postgres) as scene, open_pair(scene) as pair:
        yield await pair.is_ready()


async def test_when_the_node_with_the_leaders_dies_the_others_go_on_and_nothing_is_lost(cluster, pair):
    await pair.accept(6)

    await cluster.kill(pair, cluster.nodes[0])
    meanwhile = await pair.accept(6)
    await eventually(pair.all_published, within=90)
    await pair.is_ready()
    await eventually(lambda: pair.mailed(meanwhile), within=60)
    await cluster.restart(cluster.nodes[0])

    await pair.balances(within=90)


async def test_without_a_majority_nothing_is_confirmed_and_all_goes_out_when_it_is_back(cluster, pair):
    await pair.accept(6)
    await pair.balances()

    await cluster.kill(pair, *cluster.nodes[:2])
    await pair.accept(6)
    assert (await pair.register()).status_code == 202

    async def unconfirmed():
        rows = [row for row in (await pair.rows()).values() if row.status == "pending"]
        return (len(rows) == 7 and await pair.relay_waits()) or all(row.attempts for row in rows)

    await eventually(unconfirmed, within=60)
    await cluster.restart(*cluster.nodes[:2])

    await pair.balances(within=120)
