"""Clients that repeat their requests, because an answer was lost or they could not wait: each is one event."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import pytest
from support.builders import a_user_created
from support.clients_over_http import send_event
from support.composition import open_pair
from support.faultproxy import fault_proxy
from support.mortal_postgres import locked
from support.pair import PROMPT
from support.waiting import eventually

from producer_service.ingestion.issuing import Issuing

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@dataclass
class Client:
    """Somebody who sends one event under one Idempotency-Key, as often as need be, to whichever process there is."""

    api_key: str
    event: object
    key: str

    async def send(self, url, **changes):
        event = self.event.model_copy(update=changes)
        return await send_event(url, self.api_key, event, idempotency_key=self.key)


@pytest.fixture
async def client(scene):
    api_key = await Issuing(scene.outbox).create("shop", types=["user.*"], sources=["/shop"], rate=0)
    return Client(api_key, a_user_created(user_id=uuid4(), email="user0@example.org", name=PROMPT), str(uuid4()))


@pytest.fixture
def an_api(doomed):
    async def an_api(point="-"):
        return await doomed("api", point, TIDINGS_RELAY_IN_API="false").is_ready()

    return an_api


async def is_one_event(scene, client, answer):
    """The answer tells of the only event there is, and this has its effects once."""
    event = answer.json()["event_id"]
    assert answer.headers["location"] == f"/v1/events/{event}"
    assert list(await scene.rows()) == [event]
    scene.users[event] = client.event.email
    async with open_pair(scene) as pair:
        await pair.is_ready()
        await pair.balances()


async def test_a_request_whose_answer_was_lost_gets_it_when_it_comes_again_from_any_process(scene, client, an_api):
    first, second = await asyncio.gather(an_api(), an_api())
    async with fault_proxy("127.0.0.1", first.port) as way:
        way.blackhole("to_client")
        lost = asyncio.create_task(client.send(f"http://127.0.0.1:{way.port}"))
        await eventually(scene.rows, within=30)
        way.reset()
        with pytest.raises(httpx2.TransportError):
            await lost

    again = [await client.send(api.url) for api in (second, first)]

    assert [(answer.status_code, answer.headers["idempotency-replayed"]) for answer in again] == [(202, "true")] * 2
    assert again[0].content == again[1].content
    assert (await client.send(second.url, name="Another")).status_code == 422
    await is_one_event(scene, client, again[0])


@pytest.mark.parametrize(("point", "committed"), [("P1", 0), ("P2", 1)])
async def test_a_request_whose_api_was_killed_is_done_by_the_next_one_unless_it_was(
    scene, client, an_api, point, committed
):
    dying, living = await asyncio.gather(an_api(point), an_api())
    with pytest.raises(httpx2.TransportError):
        await client.send(dying.url)
    await eventually(lambda: dying.process.poll() == -9, within=30)
    assert len(await scene.rows()) == committed

    again = await client.send(living.url)

    assert again.status_code == 202
    assert ("idempotency-replayed" in again.headers) == bool(committed)
    await is_one_event(scene, client, again)


async def test_a_request_that_comes_again_while_the_first_is_worked_on_is_told_so_by_every_process(
    scene, client, an_api
):
    first, second = await asyncio.gather(an_api(), an_api())
    async with locked(scene.producer_env["TIDINGS_DATABASE_URL"], "outbox") as is_waited_for:
        working = asyncio.create_task(client.send(first.url))
        await eventually(is_waited_for, within=30)
        meanwhile = [await client.send(api.url) for api in (first, second)]

    answer = await working
    assert [each.status_code for each in meanwhile] == [409, 409]
    assert all(int(each.headers["retry-after"]) > 0 for each in meanwhile)
    assert answer.status_code == 202
    assert (await client.send(second.url)).content == answer.content
    await is_one_event(scene, client, answer)
