"""The peer says nothing any more, or too late, while its connection stays open."""

from uuid import UUID

import pytest
from support.faults import CONFIRMS_LOST, CONSUMER_SILENT, FROZEN, PUBLISHER_SILENT, SLOW, suffering
from support.pair import BOOKKEEPING, MAIL
from support.peeking import ids_in, witness
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]

DETECTED_WITHIN = 25.0
"""A heartbeat of 2 s notices a dead peer after 9 s; the rest is for a slow machine."""


async def tried(scene, event):
    row = (await scene.rows())[event]
    assert row.status == "pending"
    return row.attempts


async def test_a_publisher_whose_peer_fell_silent_marks_nothing_and_publishes_when_it_is_back(pair):
    await pair.accept(3)
    await eventually(pair.all_published, within=20)

    async with suffering(pair, PUBLISHER_SILENT):
        (unanswered,) = await pair.accept(1)
        await eventually(lambda: tried(pair, unanswered), within=DETECTED_WITHIN)

    await pair.balances()


async def test_a_consumer_whose_peer_fell_silent_notices_and_works_on_when_it_is_back(pair):
    await pair.accept(3)

    async with suffering(pair, CONSUMER_SILENT):
        await pair.accept(3)
        await eventually(lambda: not consumes(pair), within=DETECTED_WITHIN)

    await pair.balances()


def consumes(pair):
    return any(pair.sample("tidings_consuming", queue=queue) for queue in (MAIL, BOOKKEEPING))


async def test_a_broker_that_freezes_and_goes_on_is_told_of_nothing_twice(pair):
    await pair.accept(3)

    async with suffering(pair, FROZEN):
        await pair.accept(3)
        await eventually(lambda: not consumes(pair), within=DETECTED_WITHIN)

    await pair.balances()


async def test_messages_whose_confirms_are_lost_are_published_again_and_have_their_effect_once(pair):
    witnessed = await witness(pair.admin.url)
    await pair.accept(1)
    await eventually(pair.all_published, within=20)

    async with suffering(pair, CONFIRMS_LOST):
        (unconfirmed,) = await pair.accept(1)
        await eventually(lambda: tried(pair, unconfirmed), within=DETECTED_WITHIN)

    await pair.balances()
    assert (await ids_in(pair.admin.url, witnessed)).count(unconfirmed) > 1


async def test_on_a_slow_network_everything_arrives_and_every_user_in_order(pair):
    witnessed = await witness(pair.admin.url)
    ann, bob = UUID(int=1), UUID(int=2)

    async with suffering(pair, SLOW):
        anns = await pair.accept(4, user=ann)
        bobs = await pair.accept(4, user=bob)
        await eventually(pair.all_published, within=60)

    await pair.balances()
    arrived = list(dict.fromkeys(await ids_in(pair.admin.url, witnessed)))
    assert [event for event in arrived if event in anns] == anns
    assert [event for event in arrived if event in bobs] == bobs
