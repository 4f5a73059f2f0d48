"""Nouns of ingestion: a client with a key, and events as foreign services write them."""

import pytest

from producer_service.ingestion.issuing import Issuing

DATA = {
    "user_id": "01890000-0000-7000-8000-00000000000a",
    "email": "ann@example.org",
    "verification_id": "01890000-0000-7000-8000-00000000000b",
}


@pytest.fixture
def issuing(engine):
    return Issuing(engine)


@pytest.fixture
def a_key(issuing):
    """Make a key that may send everything about users, for the shop."""

    async def a_key(client="shop", **changes):
        return await issuing.create(client, **{"types": ["user.*"], "sources": ["/shop"], "rate": 0} | changes)

    return a_key


@pytest.fixture
async def shop(client, a_key):
    """The API, as the shop sees it: with its key."""
    client.headers["Authorization"] = f"Bearer {await a_key()}"
    return client


@pytest.fixture
def send(shop):
    """Send one event in the short form; return the answer."""

    async def send(event=None, **headers):
        return await shop.post("/v1/events", json=event or an_event(), headers=headers)

    return send


@pytest.fixture
def send_batch(shop):
    async def send_batch(*events, atomic=False, **headers):
        query = {"atomic": "true"} if atomic else {}
        return await shop.post("/v1/events:batch", json=events, params=query, headers=headers)

    return send_batch


def an_event(*, data=None, **attributes):
    return {"type": "user.created", "data": DATA | (data or {}), **attributes}


def a_cloudevent(**changes):
    return {"specversion": "1.0", "id": "node-1", "source": "/shop"} | an_event() | changes
