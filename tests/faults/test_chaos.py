"""Broker, database and every process are killed at random moments, for as long as `--chaos SECONDS` says.

    ./dev test tests/faults/test_chaos.py --chaos 300 -n 0 -s

Prints each kill, and the seed that repeats their order. In the end what was accepted had each of its effects as often
as the guarantee of its subscriber allows, or is a dead letter.
"""

import asyncio
from random import Random
from time import monotonic

import httpx2
import pytest
from support.composition import open_pair, open_scene
from support.mortal_postgres import a_mortal_postgres
from support.pair import MIXTURE
from support.subscribers import ALL

from producer_service.database import DATABASE_ERRORS

pytestmark = [pytest.mark.broker, pytest.mark.fault, pytest.mark.timeout(0)]

EVENTS_PER_SECOND = 20
REQUEST_SECONDS = 0.5
"""Between two registrations, each of which is a hash that takes a processor a twentieth of a second."""

CALM_SECONDS = (0.5, 6.0)
"""Between two kills: some find their victim's successor not yet started."""

AFTERWARDS = 200.0
"""What several dead workers held, one after the other, and what then waits on rungs."""


class Chaos:
    """The processes, and what is done to them."""

    def __init__(self, scene, doomed, postgres, seconds, dice):
        self.scene, self.ends, self.kills = scene, monotonic() + seconds, 0
        self._postgres, self._dice = postgres, dice
        self._start = {
            "api": lambda: doomed("api", TIDINGS_RELAY_IN_API="false"),
            "relay": lambda: doomed("relay"),
            "another relay": lambda: doomed("relay"),
            "worker": lambda: doomed("worker"),
            "another worker": lambda: doomed("worker"),
            "collector": lambda: doomed("collector"),
        }
        self.processes = {name: start() for name, start in self._start.items()}

    @property
    def lasts(self):
        return monotonic() < self.ends

    async def send_requests(self):
        while self.lasts:
            number = next(self.scene.numbers)
            name = MIXTURE[number % len(MIXTURE)]
            body = {"email": f"user{number}@example.org", "password": "correct horse battery", "name": name}
            try:
                async with httpx2.AsyncClient(base_url=self.processes["api"].url, timeout=30) as client:
                    answer = await client.post("/v1/users", json=body)
            except httpx2.TransportError:
                answer = None  # Nobody knows whether it was accepted; its mail tells its event.
            if answer is not None and answer.status_code == httpx2.codes.ACCEPTED:
                self.scene.users[answer.json()["event_id"]] = body["email"]
            await asyncio.sleep(REQUEST_SECONDS)

    async def commit_events(self):
        while self.lasts:
            try:
                await self.scene.accept(1)
            except DATABASE_ERRORS:
                continue
            finally:
                await asyncio.sleep(1 / EVENTS_PER_SECOND)  # The pace of the load; nothing is hoped for.

    async def kill(self):
        victims = [*self._start, "broker", "database"]
        while self.lasts:
            await asyncio.sleep(self._dice.uniform(*CALM_SECONDS))
            await self._kill(self._dice.choice(victims))

    async def _kill(self, victim):
        self.kills += 1
        print(f"\n{self.ends - monotonic():6.1f} s left: {victim} is killed", flush=True)  # noqa: T201 - who waits
        if victim == "broker":
            await asyncio.to_thread(self.scene.rabbit.kill)
            await asyncio.to_thread(self.scene.rabbit.start)
            self.scene.retarget()
        elif victim == "database":
            async with self._postgres.down("immediate"):
                await asyncio.sleep(self._dice.uniform(0, 1))
        else:
            self.processes[victim].kill()
            if victim.endswith("worker"):
                await self.scene.books.note_death()
            self.processes[victim] = self._start[victim]()

    async def end(self):
        """Kill them all at once."""
        for process in self.processes.values():
            process.kill()
        await self.scene.books.note_death()


@pytest.fixture
def mortal_postgres(pytestconfig):
    if not pytestconfig.option.chaos:
        pytest.skip("takes as long as you say: --chaos 300")
    with a_mortal_postgres("max_connections=300") as postgres:
        yield postgres


@pytest.fixture
async def scene(mortal_postgres, mortal):
    """A subscriber for each guarantee, and a collector of their dead letters."""
    async with open_scene(mortal, mortal_postgres, subscribers=ALL) as scene:
        yield scene


async def test_whatever_is_killed_whenever_every_guarantee_is_kept(scene, doomed, mortal_postgres, pytestconfig):
    options = pytestconfig.option
    chaos = Chaos(scene, doomed, mortal_postgres, options.chaos, Random(options.seed))  # noqa: S311 - repeatable

    async with asyncio.TaskGroup() as group:
        for task in (chaos.send_requests, chaos.commit_events, chaos.kill):
            group.create_task(task())
    await chaos.end()

    async with open_pair(scene) as pair:
        await pair.is_ready()
        ledger = await pair.balances(within=AFTERWARDS)
    done = {account.queue: len(account.effects) for account in ledger.accounts}
    print(f"\n{len(ledger.accepted)} accepted, {chaos.kills} kills; effects: {done}")  # noqa: T201 - the result
    assert ledger.accepted
