"""Dead letters with real processes: a worker that makes them, a collector, and an operator's commands."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from support.builders import a_message, an_outgoing
from support.commands import run_consumer
from support.dead_letters import grown_old, the_letters
from support.waiting import eventually

from consumer_service.database import open_engine
from consumer_service.dead_letters.returning import SOMEBODY_ELSES
from consumer_service.lifecycle import State
from shared.backends.rabbitmq import RabbitTransport

pytestmark = [pytest.mark.broker, pytest.mark.long]

GONE = 410
COUNT = 40
NOTIFICATION = ("--queue", "notification")
WHY = ("--why", "the receiver is back")


@pytest.fixture
async def engine(world):
    engine = open_engine(world.consumer_env["TIDINGS_DATABASE_URL"])
    yield engine
    await engine.dispose()


@pytest.fixture
async def deadly_world(world):
    """A worker whose receiver has said 410 to forty notifications, and a collector."""
    world.prepare()
    world.apply_topology()
    await world.worker("-q", "notification").is_ready()
    for _ in range(COUNT):
        world.webhook.answer(GONE)
    async with RabbitTransport(world.consumer_env["TIDINGS_BROKER_URL"], name="publish").publisher() as publisher:
        await publisher.publish([an_outgoing(a_message()) for _ in range(COUNT)])
    await eventually(lambda: len(world.webhook.requests) == COUNT, within=60)
    return world


def a_collector(world):
    env = world.consumer_env
    return world.services.start("consumer_service", "collector", env=env, port_variable="TIDINGS_COLLECTOR_HTTP_PORT")


async def command(world, *arguments):
    run = asyncio.to_thread(
        run_consumer, "dead-letters", *arguments, env=world.consumer_env, folder=world.services.folder
    )
    return await run


async def states(engine):
    return Counter(letter.state for letter in await the_letters(engine) if letter.queue == "consumer.notification")


async def test_a_replay_stops_while_the_cause_persists_and_goes_through_when_it_is_mended(deadly_world, engine):
    world = deadly_world
    collector = await a_collector(world).is_ready()

    async def all_are_collected():
        return await states(engine) == {State.WAITING: COUNT}

    await eventually(all_are_collected, within=30)
    groups = await command(world, "groups", *NOTIFICATION)
    assert groups.out[0] == f"{COUNT} dead letters of 1 cause (replaying or waiting)"
    assert groups.out[3].endswith("PermanentFailure: the webhook answered 410")

    world.webhook.answer(GONE)
    stopped = await command(world, "replay", *NOTIFICATION, *WHY)
    assert (stopped.code, len(world.webhook.requests)) == (3, COUNT + 1)
    assert "  stopped: the same failure is back (1)" in stopped.out
    await eventually(all_are_collected, within=30)

    finished = await command(world, "replay", *NOTIFICATION, *WHY, "--rate", "100")
    assert (finished.code, finished.out[-1]) == (0, f"  {COUNT} replayed, 0 left: {COUNT} done")
    assert await states(engine) == {State.REPLAYED: COUNT}
    assert len(world.webhook.requests) == COUNT + 1 + COUNT
    assert await collector.stop() == 0


async def test_a_replay_that_is_killed_in_the_middle_loses_nothing_and_is_finished_by_the_same_command(
    deadly_world, engine
):
    world = deadly_world
    await eventually_collected(world, engine)
    slow = ("replay", *NOTIFICATION, *WHY, "--no-canary", "--rate", "10", "--by", "ann")
    doomed = world.services.start("consumer_service", "dead-letters", *slow, env=world.consumer_env)
    await eventually(lambda: len(world.webhook.requests) > COUNT + 3, within=60)

    doomed.kill()
    left = await states(engine)
    assert left[State.WAITING] > 0
    assert left.total() == COUNT

    begun = [letter for letter in await the_letters(engine) if letter.state is State.REPLAYING]
    await grown_old(engine, *begun, by=SOMEBODY_ELSES + timedelta(seconds=1), last_died_at=the_moment_of(begun))
    finished = await command(world, "replay", *NOTIFICATION, *WHY)
    assert finished.code == 0

    async def all_are_done():
        return await states(engine) == {State.REPLAYED: COUNT} and len(second_calls(world)) == COUNT

    await eventually(all_are_done, within=30)
    assert set(second_calls(world).values()) == {1}


def second_calls(world):
    """Return how often each notification was sent after all had failed."""
    return Counter(request.headers["idempotency-key"] for request in world.webhook.requests[COUNT:])


async def eventually_collected(world, engine):
    async def is_collected():
        await command(world, "groups")
        return await states(engine) == {State.WAITING: COUNT}

    await eventually(is_collected, within=60)


def the_moment_of(letters):
    return letters[0].last_died_at if letters else None
