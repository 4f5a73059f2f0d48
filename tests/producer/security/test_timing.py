"""Whether an address is known shows in no time that a client could measure."""

from statistics import median
from time import perf_counter
from uuid import uuid4

import pytest
from support.clients import asking
from support.databases import on_postgres
from support.hashing import CHEAP

from producer_service.app import producer
from shared.backends.memory import MemoryTransport

pytestmark = [pytest.mark.slow, on_postgres]

ROUNDS = 40
KNOWN = "known@example.org"


@pytest.fixture
async def client(engine, settings):
    """The whole API without a limit that would be met; passwords cost next to nothing, so that the rest shows."""
    assert engine
    generous = settings.model_copy(update={"mails_per_address_and_hour": 1000})
    async with producer(generous, MemoryTransport(), hasher=CHEAP) as app, asking(app) as client:
        yield client


async def seconds(client, path, body):
    begun = perf_counter()
    assert (await client.post(path, json=body)).status_code == 202
    return perf_counter() - begun


@pytest.mark.parametrize(("path", "more"), [("/v1/password-resets", {}), ("/v1/users", {"password": "correct horse"})])
async def test_a_known_and_an_unknown_address_take_as_long(client, path, more):
    await client.post("/v1/users", json={"email": KNOWN, "password": "correct horse"})
    known, unknown = [], []

    for _ in range(ROUNDS):
        known.append(await seconds(client, path, {"email": KNOWN, **more}))
        unknown.append(await seconds(client, path, {"email": f"{uuid4().hex}@example.org", **more}))

    middle = median(unknown)
    spread = median(abs(value - middle) for value in unknown)
    assert abs(median(known) - middle) < max(2 * spread, 0.1 * middle)
