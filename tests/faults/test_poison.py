"""One message ends every process that works on it."""

import os

import pytest
from support.composition import open_pair, relaying
from support.pair import PROMPT
from support.processes import ROOT
from support.waiting import eventually

from consumer_service.claim import CRASH_LIMIT

pytestmark = [pytest.mark.broker, pytest.mark.fault, pytest.mark.slow_fault, pytest.mark.timeout(600)]

A_LIFE = 150.0
"""Seconds in which a worker has found out whom its predecessor left behind, and has died of it or not."""


@pytest.fixture
def poisonable(scene, services):
    """Start a worker that the mail to this address kills."""

    def start(address):
        path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "TIDINGS_POISON": address}
        return services.start("faults.poisoned", env={**scene.consumer_env, **path})

    return start


async def test_a_message_that_kills_every_worker_is_dead_and_its_neighbours_are_done(scene, poisonable):
    deaths = 0
    async with relaying(scene):
        events = await scene.accept(8, names=[PROMPT])
        scene.may_repeat.update(events)
        worker = await last_sight_of(poisonable(scene.users[events[3]]))
        while worker.process.poll() is not None:
            deaths += 1
            worker = await last_sight_of(poisonable(scene.users[events[3]]))
        assert await worker.stop() == 0

    async with open_pair(scene) as pair:
        await pair.is_ready()
        ledger = await pair.balances(within=A_LIFE)

    assert deaths == CRASH_LIMIT
    assert ledger.accounts[0].dead == {events[3]: "crash_loop"}
    assert ledger.accounts[0].effects.keys() == set(events) - {events[3]}


async def last_sight_of(worker):
    """Wait until the worker has died, or has buried the message."""
    await eventually(lambda: worker.process.poll() is not None or '"crash_loop"' in worker.said, within=A_LIFE)
    return worker
