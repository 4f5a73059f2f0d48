"""Clients that ask for more than they may, of several processes, while one of these is killed."""

import asyncio
from time import monotonic
from uuid import uuid4

import httpx2
import pytest
from support.builders import a_user_created
from support.clients_over_http import register, send_event
from support.composition import open_pair
from support.pair import PROMPT
from support.waiting import eventually

from producer_service.ingestion.issuing import Issuing

pytestmark = [pytest.mark.broker, pytest.mark.fault]

RATE, BURST = 1, 10
"""Events a second, and at once."""

SIGN_INS = 4


class Shop:
    """Another service with an API key; keeps the addresses in what it sent, and what each was answered."""

    def __init__(self, api_key):
        self._api_key = api_key
        self.addresses = {}
        self.answers = {}

    async def send(self, api, number, event_id=None):
        """Send an event about the user of this number, under an id of its own unless it was sent before."""
        event_id = event_id or str(uuid4())
        self.addresses[event_id] = f"user{number}@example.org"
        event = a_user_created(user_id=uuid4(), email=self.addresses[event_id], name=PROMPT)
        try:
            self.answers[event_id] = await send_event(api.url, self._api_key, event, event_id=event_id)
        except httpx2.TransportError:
            return None
        return self.answers[event_id]

    def answered(self, status):
        return {event_id for event_id, answer in self.answers.items() if answer.status_code == status}


@pytest.fixture
async def shops(scene):
    """One that will send too much, and one that behaves."""
    issuing = Issuing(scene.outbox)
    may = {"types": ["user.*"], "sources": ["/shop"]}
    return [Shop(await issuing.create(name, **may, rate=RATE)) for name in ("greedy", "modest")]


@pytest.fixture
def an_api(doomed):
    async def an_api(point="-"):
        return await doomed(
            "api", point, TIDINGS_RELAY_IN_API="false", TIDINGS_SIGN_INS_PER_ADDRESS_AND_HOUR=str(SIGN_INS)
        ).is_ready()

    return an_api


async def test_what_exceeds_a_rate_is_refused_with_a_pause_and_recorded_nowhere(scene, shops, an_api):
    greedy, modest = shops
    dying, living = await asyncio.gather(an_api("P2:6"), an_api())

    begun = monotonic()
    await asyncio.gather(*(greedy.send(api, next(scene.numbers)) for api in (dying, living) for _ in range(2 * BURST)))
    granted = 2 * (BURST + RATE * (monotonic() - begun))
    await eventually(lambda: dying.process.poll() == -9, within=30)
    other = await modest.send(living, next(scene.numbers))

    refused, accepted = greedy.answered(429), greedy.answered(202) | modest.answered(202)
    assert other.status_code == 202
    assert await living.answers()
    assert refused
    assert len(greedy.answered(202)) <= granted
    assert all(int(greedy.answers[each].headers["retry-after"]) > 0 for each in refused)
    rows = (await scene.rows()).keys()
    assert rows >= accepted
    assert not rows & refused

    again = min(refused)
    # As long as the answer asks for, and no longer: that it is enough is what is tested.
    await asyncio.sleep(int(greedy.answers[again].headers["retry-after"]))
    assert (await greedy.send(living, next(scene.numbers), again)).status_code == 202
    scene.users.update({event_id: (greedy.addresses | modest.addresses)[event_id] for event_id in await scene.rows()})
    async with open_pair(scene) as pair:
        await pair.is_ready()
        await pair.balances()


async def test_attempts_to_sign_in_are_counted_for_all_processes_and_outlive_one_that_is_killed(an_api):
    first, second = await asyncio.gather(an_api(), an_api())
    wrong = {"email": "ann@example.org", "password": "not the right one"}
    assert (await register(first)).status_code == 202

    async def attempt(api):
        async with httpx2.AsyncClient(base_url=api.url, timeout=10) as client:
            return await client.post("/v1/sessions", json=wrong)

    tried = [await attempt(api) for api in (first, second, first)]
    first.kill()
    tried += [await attempt(second) for _ in range(SIGN_INS - len(tried))]
    refused = [await attempt(api) for api in (second, await an_api())]

    assert {answer.status_code for answer in tried} == {401}
    assert {answer.status_code for answer in refused} == {429}
    assert all(0 < int(answer.headers["retry-after"]) <= 3600 for answer in refused)
