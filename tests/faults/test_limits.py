"""There is no more of something that everybody takes for granted."""

import resource

import pytest
from support.faults import CLOSED, suffering
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@pytest.mark.parametrize("limit", ["max-connections", "max-channels"])
async def test_a_limit_on_the_user_is_named_and_waited_for(pair, limit):
    user = pair.admin.user_of("producer")
    await pair.accept(1)
    await eventually(pair.all_published, within=20)
    await pair.admin.limit(user, limit, 0)
    await pair.admin.close_connections_of(user)
    await pair.accept(3)

    await eventually(pair.relay_waits, within=30)
    assert "limit" in await pair.relay_says()
    await pair.admin.limit(user, limit, -1)

    await pair.balances()


async def test_a_relay_without_file_descriptors_says_so_lives_and_recovers(scene, doomed):
    relay = await doomed("relay").is_ready()
    await scene.accept(1)
    await eventually(scene.all_published, within=30)
    before = resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))

    async with suffering(scene, CLOSED):
        await scene.accept(1)
        await eventually(lambda: "Too many open files" in relay.said, within=30)
        assert relay.process.poll() is None
    resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, before)

    await eventually(scene.all_published, within=60)
    assert await relay.answers("/livez")
