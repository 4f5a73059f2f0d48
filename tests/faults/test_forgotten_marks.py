"""The database server crashes, and has forgotten what the relay marked last, which it does not wait to see on disk."""

import pytest
from support.composition import open_pair, open_scene
from support.mortal_postgres import a_forgetful_postgres
from support.pair import PROMPT
from support.peeking import ids_in, witness
from support.waiting import eventually

from producer_service.database import DATABASE_ERRORS

pytestmark = [pytest.mark.broker, pytest.mark.fault]

MOST_CRASHES = 10
"""Another commit, of anybody, may have put a mark on disk before the crash."""


@pytest.fixture
def mortal_postgres():
    with a_forgetful_postgres() as postgres:
        yield postgres


@pytest.fixture
async def pair(mortal, mortal_postgres):
    async with open_scene(mortal, mortal_postgres) as scene, open_pair(scene) as pair:
        yield await pair.is_ready()


async def all_published(pair):
    try:
        return await pair.all_published()
    except DATABASE_ERRORS:
        return False


async def test_marks_that_a_crashed_database_forgot_are_made_again_and_their_messages_published_again(
    pair, mortal_postgres
):
    witnessed = await witness(pair.admin.url)

    for _ in range(MOST_CRASHES):
        (event,) = await pair.accept(1, names=[PROMPT])
        await eventually(lambda: all_published(pair), within=20)
        async with mortal_postgres.down("immediate"):
            pass
        await eventually(lambda: all_published(pair), within=40)
        if (await ids_in(pair.admin.url, witnessed)).count(event) > 1:
            break

    assert (await ids_in(pair.admin.url, witnessed)).count(event) > 1
    await pair.balances(within=90)
