"""The real processes under a constant load, for as long as `--soak SECONDS` says: an hour tells what a minute cannot.

    ./dev test tests/faults/test_soak.py --soak 3600 -n 0 -s

Prints a line each minute. In the end every request that was accepted had each of its effects once, or is a dead letter;
and no process holds more memory or descriptors than when it had warmed up.
"""

import asyncio
from time import monotonic

import httpx2
import pytest
from support.composition import open_pair, open_scene
from support.pair import MIXTURE
from support.samples import MEGABYTE, sample, trend
from support.subscribers import ALL
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault, pytest.mark.timeout(0)]

REQUESTS_PER_SECOND = 2.0
"""Each is one argon2 hash, which takes a processor about a twentieth of a second."""

EVENTS_PER_SECOND = 20.0
"""Committed beside the requests, so that relay and worker have more to do than the API."""

SAMPLE_SECONDS = 0.5
ENOUGH_SAMPLES = 60
REPORT_SECONDS = 60.0
MOST_GROWTH = 15 * MEGABYTE
MOST_DESCRIPTORS = 8
AFTERWARDS = 60.0


class Soak:
    """One run: the processes, how long it lasts, and what was sampled."""

    def __init__(self, scene, doomed, seconds):
        self.scene, self.ends = scene, monotonic() + seconds
        self.api = doomed("api", TIDINGS_RELAY_IN_API="false")
        self.relay = doomed("relay")
        self.workers = [doomed("worker"), doomed("worker")]
        self.collector = doomed("collector")
        self.samples = {}

    @property
    def lasts(self):
        return monotonic() < self.ends

    @property
    def processes(self):
        return [self.api, self.relay, *self.workers, self.collector]

    async def send_requests(self):
        async with httpx2.AsyncClient(base_url=self.api.url, timeout=30) as client:
            while self.lasts:
                number = next(self.scene.numbers)
                name = MIXTURE[number % len(MIXTURE)]
                body = {"email": f"user{number}@example.org", "password": "correct horse battery", "name": name}
                answer = await client.post("/v1/users", json=body)
                assert answer.status_code == 202, answer.text
                self.scene.users[answer.json()["event_id"]] = body["email"]
                await asyncio.sleep(1 / REQUESTS_PER_SECOND)

    async def commit_events(self):
        while self.lasts:
            await self.scene.accept(round(EVENTS_PER_SECOND))
            await asyncio.sleep(1.0)

    async def take_samples(self):
        while self.lasts:
            for process in self.processes:
                self.samples.setdefault(process.port, []).append(sample(process))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def report(self):
        while self.lasts:
            await asyncio.sleep(min(REPORT_SECONDS, max(0.0, self.ends - monotonic())))
            holds = [sample(process) for process in self.processes]
            held = ", ".join(f"{each.resident / MEGABYTE:.0f} MB {each.descriptors} fds" for each in holds)
            counts = f"{len(self.scene.users)} accepted, {len(self.scene.smtp.mails)} mails"
            print(f"\n{max(0.0, self.ends - monotonic()):6.0f} s left: {counts}; {held}", flush=True)  # noqa: T201

    def trends(self):
        """Return the trend of every process that lived to the end, and long enough to have one."""
        known = {f"{process.name} on {process.port}": self.samples.get(process.port, []) for process in self.processes}
        return {name: trend(samples) for name, samples in known.items() if len(samples) >= ENOUGH_SAMPLES}


@pytest.fixture
async def scene(mortal, postgres):
    """A subscriber for each guarantee, and a collector of their dead letters."""
    async with open_scene(mortal, postgres, subscribers=ALL) as scene:
        yield scene


@pytest.fixture
async def soak(scene, doomed, pytestconfig):
    seconds = pytestconfig.option.soak
    if not seconds:
        pytest.skip("takes as long as you say: --soak 3600")
    soak = Soak(scene, doomed, seconds)
    await soak.api.is_ready()
    await soak.relay.is_ready()
    await eventually(
        lambda: all(worker.said.count("consumer.consuming") == len(ALL) - 1 for worker in soak.workers), within=60
    )
    return soak


async def test_under_a_constant_load_counts_are_exact_and_nothing_grows(soak, scene):
    async with asyncio.TaskGroup() as group:
        for task in (soak.send_requests, soak.commit_events, soak.take_samples, soak.report):
            group.create_task(task())

    trends = soak.trends()
    print("\n".join(f"{name}: {found}" for name, found in trends.items()))  # noqa: T201
    async with open_pair(scene) as pair:
        await pair.is_ready()
        ledger = await pair.balances(within=AFTERWARDS)
    assert not ledger.complaints()
    assert trends
    for name, found in trends.items():
        assert found.resident < MOST_GROWTH, name
        assert found.descriptors < MOST_DESCRIPTORS, name
    assert all("Traceback" not in process.said for process in soak.processes)
