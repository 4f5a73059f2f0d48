"""The producer dies at each point of its way; what it had promised is kept by its successor."""

import asyncio

import httpx2
import pytest
from support.clients_over_http import register
from support.composition import open_pair
from support.pair import MAIL
from support.peeking import ids_in
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]


async def has_died(service):
    await eventually(lambda: service.process.poll() is not None, within=60)
    assert service.process.returncode == -9, service.said


@pytest.mark.parametrize(("point", "committed"), [("P1", 0), ("P2", 1)])
async def test_an_api_killed_around_its_commit_leaves_a_ghost_neither_here_nor_there(scene, doomed, point, committed):
    api = doomed("api", point, TIDINGS_RELAY_IN_API="false")
    await api.is_ready()

    with pytest.raises(httpx2.TransportError):
        await register(api)

    await has_died(api)
    assert len(await scene.rows()) == committed
    assert (await scene.users_registered()) == committed

    scene.users.update(dict.fromkeys(await scene.rows(), "ann@example.org"))
    async with open_pair(scene) as pair:
        await pair.is_ready()
        await pair.balances()
    assert len(scene.smtp.mails) == committed


@pytest.mark.parametrize(("point", "copies"), [("P3", 1), ("P5", 2), ("P6", 2)])
async def test_a_relay_killed_at_any_point_is_succeeded_under_the_same_ids(scene, doomed, point, copies):
    accepted = await scene.accept(3)
    await has_died(doomed("relay", point))
    assert {row.status for row in (await scene.rows()).values()} == {"pending"}

    await doomed("relay").is_ready()

    await eventually(scene.all_published, within=40)
    assert sorted(await ids_in(scene.admin.url, MAIL)) == sorted(accepted * copies)


@pytest.mark.parametrize("point", ["P3:2", "P6:2"])
async def test_a_relay_killed_with_one_claim_published_and_another_in_hand_is_succeeded(scene, doomed, point):
    accepted = await scene.accept(3)
    await has_died(doomed("relay", point, TIDINGS_RELAY_BATCH_SIZE="1"))

    await doomed("relay").is_ready()

    await eventually(scene.all_published, within=40)
    assert set(await ids_in(scene.admin.url, MAIL)) == set(accepted)


async def test_a_relay_killed_between_the_bytes_and_the_confirm_publishes_again(scene, doomed):
    relay = await doomed("relay").is_ready()
    await scene.accept(1)
    await eventually(lambda: "outbox.published" in relay.said, within=30)
    scene.publishing.blackhole("to_client")
    (unconfirmed,) = await scene.accept(1)

    async def arrived():
        await asyncio.sleep(0.1)
        return unconfirmed in await ids_in(scene.admin.url, MAIL)

    await eventually(arrived, within=30)
    relay.kill()
    scene.publishing.heal()
    await doomed("relay").is_ready()

    async def arrived_again():
        await asyncio.sleep(0.1)
        return (await ids_in(scene.admin.url, MAIL)).count(unconfirmed) == 2

    await eventually(arrived_again, within=40)
