import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from support.builders import a_queue, a_topology
from support.clients import asking
from support.databases import on_sqlite
from support.hashing import CHEAP
from support.mails import LINK_SECRET
from support.publishers import GatedPublisher
from support.waiting import eventually

from producer_service.app import producer, relay_alone
from producer_service.models import Status, User
from producer_service.settings import ApiSettings
from shared.backends.memory import MemoryTransport

ANN = {"email": "ann@example.org", "password": "correct horse"}
ASKING = {"email": "ann@example.org", "purpose": "sign-in"}


class OnePublisher:
    """A transport with a publisher that the test holds in its hands."""

    def __init__(self, publisher):
        self._publisher = publisher
        self.closed = False

    @asynccontextmanager
    async def publisher(self):
        try:
            yield self._publisher
        finally:
            self.closed = True


@pytest.fixture
def with_relay(settings):
    return settings.model_copy(update={"relay_in_api": True})


async def test_a_registration_becomes_a_message_in_a_queue(engine, with_relay):  # noqa: ARG001 - its tables
    transport = MemoryTransport()
    await transport.apply(a_topology(a_queue("consumer.mail", "user.created")))

    async with producer(with_relay, transport, hasher=CHEAP) as app, asking(app) as client:
        event_id = (await client.post("/v1/users", json=ANN)).json()["event_id"]
        async with transport.subscribe("consumer.mail", prefetch=1) as subscription:
            (delivery,) = await asyncio.wait_for(subscription.take(1), 5)

    assert delivery.message.message_id == event_id


@on_sqlite
async def test_its_status_follows_it_to_the_broker(engine, with_relay):  # noqa: ARG001 - its tables
    transport = MemoryTransport()
    await transport.apply(a_topology(a_queue("consumer.mail", "user.created")))

    async with producer(with_relay, transport, hasher=CHEAP) as app, asking(app) as client:
        location = (await client.post("/v1/users", json=ANN)).headers["Location"]

        async def published():
            return (await client.get(location)).json()["status"] == "published"

        await eventually(published)


@on_sqlite
async def test_without_a_relay_of_its_own_the_api_is_ready(client):
    response = await client.get("/readyz")

    assert (response.status_code, response.json()["checks"]["relay"]["detail"]) == (200, "runs elsewhere")


async def test_it_opens_without_a_broker_and_without_a_database():
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
    settings = ApiSettings(database_url=nowhere, broker_url=SecretStr("memory://"), link_secret=SecretStr(LINK_SECRET))

    async with producer(settings, MemoryTransport()) as app, asking(app) as client:
        answers = [(await client.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")]

    assert answers == [200, 503, 200]


@on_sqlite
async def test_stopping_makes_it_unready_while_it_still_serves(engine, settings):  # noqa: ARG001 - its tables
    stopping = asyncio.Event()

    async with producer(settings, MemoryTransport(), stopping=stopping, hasher=CHEAP) as app, asking(app) as client:
        before = (await client.get("/readyz")).status_code
        stopping.set()
        after = (await client.get("/readyz")).status_code
        registered = (await client.post("/v1/users", json=ANN)).status_code

    assert (before, after, registered) == (200, 503, 202)


@on_sqlite
@pytest.mark.parametrize(
    ("hasher", "cost"), [pytest.param(None, "m=65536,t=3,p=4", marks=pytest.mark.slow), (CHEAP, "m=8,t=1,p=1")]
)
async def test_passwords_are_hashed_at_full_cost_unless_another_hasher_is_given(engine, settings, hasher, cost):
    async with producer(settings, MemoryTransport(), hasher=hasher) as app, asking(app) as client:
        await client.post("/v1/users", json=ANN)

    async with engine.connect() as connection:
        assert cost in await connection.scalar(select(User.password_hash))


async def test_leaving_lets_the_relay_finish_its_batch_before_the_publisher_closes(with_relay, recorded, rows):
    await recorded()
    publisher = GatedPublisher()
    transport = OnePublisher(publisher)

    async with producer(with_relay, transport):
        await publisher.entered.wait()
        asyncio.get_running_loop().call_later(0.1, publisher.gate.set)

    assert [row.status for row in await rows()] == ["published"]
    assert transport.closed


async def test_a_relay_alone_publishes_and_shows_its_health_but_no_api(with_relay, recorded, rows):
    await recorded()
    publisher = GatedPublisher()
    publisher.gate.set()

    async with relay_alone(with_relay, OnePublisher(publisher)) as app, asking(app) as client:
        await eventually(lambda: publisher.ids)
        answers = [(await client.get(path)).status_code for path in ("/readyz", "/metrics", "/v1/events/x")]

    assert answers == [200, 200, 404]
    assert [row.status for row in await rows()] == ["published"]


@on_sqlite
@pytest.mark.parametrize(("wanted", "status"), [(True, 200), (False, 404)])
async def test_documentation_is_served_only_where_it_is_wanted(settings, wanted, status):
    changed = settings.model_copy(update={"api_docs": wanted})

    async with producer(changed, MemoryTransport()) as app, asking(app) as client:
        assert (await client.get("/docs")).status_code == status


async def test_no_path_is_redirected_to_where_the_request_says_that_we_are(client):
    answer = await client.post("/v1/users/", json={}, headers={"Host": "evil.example"})

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert "location" not in answer.headers


@pytest.mark.slow
async def test_a_full_outbox_refuses_new_work_until_it_is_drained_and_goes_on_answering(
    settings, recorded, change, statuses
):
    ids = await recorded(*(uuid4() for _ in range(3)))
    limited = settings.model_copy(update={"outbox_high_water": 2})

    async with producer(limited, MemoryTransport(), hasher=CHEAP) as app, asking(app) as client:

        async def registered(status):
            answer = await client.post("/v1/users", json=ANN)
            return answer if answer.status_code == status else None

        await eventually(lambda: on_metrics(client, "tidings_outbox_full 1.0"), within=20)
        refused, read = await registered(503), (await client.get(f"/v1/events/{ids[0]}")).status_code
        ready = (await client.get("/readyz")).status_code
        recorded_meanwhile = len(await statuses())
        await change(*ids, status=Status.PUBLISHED, published_at=datetime.now(UTC))
        await eventually(lambda: registered(202), within=20)

        assert await on_metrics(client, "tidings_outbox_refused_total")

    assert refused.json()["type"] == "/problems/outbox-full"
    assert (refused.headers["retry-after"], refused.headers["content-type"]) == ("15", "application/problem+json")
    assert (read, ready, recorded_meanwhile) == (200, 200, 3)


async def on_metrics(client, line):
    return line in (await client.get("/metrics")).text


@on_sqlite
@pytest.mark.parametrize(("path", "body"), [("users", ANN), ("verification-codes", ASKING)])
async def test_no_request_is_handed_to_a_thread_of_the_framework_and_back(client, path, body):
    before = set(threading.enumerate())

    assert (await client.post(f"/v1/{path}", json=body)).status_code == 202

    assert [thread.name for thread in set(threading.enumerate()) - before if "AnyIO" in thread.name] == []
