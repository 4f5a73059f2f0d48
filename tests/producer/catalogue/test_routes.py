"""The catalogue over HTTP."""

import json

import pytest
from fastapi import FastAPI
from support.clients import asking
from support.mails import LINK_SECRET
from support.repository import read

from producer_service.app import producer
from producer_service.catalogue.page import headers, read_style
from producer_service.catalogue.routes import build_catalogue
from producer_service.problems import install
from producer_service.settings import ApiSettings
from shared.backends.memory import MemoryTransport

PATHS = ["/catalogue", "/v1/asyncapi.json", "/v1/contracts/user.created"]


@pytest.fixture(scope="module")
async def client():
    app = FastAPI()
    install(app)
    app.include_router(build_catalogue())
    async with asking(app) as client:
        yield client


async def test_the_page_is_served_with_a_policy_that_lets_nothing_else_in(client):
    response = await client.get("/catalogue")

    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert response.headers.items() >= {name.lower(): value for name, value in headers(read_style()).items()}.items()
    assert "user.created" in response.text


async def test_a_program_gets_the_same_as_json(client):
    found = {entry["type"]: entry for entry in (await client.get("/v1/catalogue")).json()}

    created = found["user.created"]
    assert {"mail.send", "user.created"} <= found.keys()
    assert (created["owner"], created["kind"], created["version"]) == ("accounts", "event", 1)
    assert {"queue": "consumer.notification", "task": "NotifyOperators"}.items() <= created["subscribers"][-1].items()
    assert created["example"]["email"] == "ann@example.org"
    assert created["fields"][0]["name"] == "user_id"


async def test_tools_get_the_committed_documents_to_the_byte(client):
    asyncapi, schema = await client.get("/v1/asyncapi.json"), await client.get("/v1/contracts/user.created")

    assert asyncapi.headers["Content-Type"] == "application/vnd.aai.asyncapi+json;version=3.1.0"
    assert schema.headers["Content-Type"] == "application/schema+json"
    assert asyncapi.text == read("contracts/asyncapi.json")
    assert schema.text == read("contracts/schemas/user.created.json")
    assert schema.json()["$id"] == json.loads(schema.text)["$id"] == "urn:tidings:schema:user.created:1"


@pytest.mark.parametrize("path", PATHS)
async def test_who_has_it_already_is_told_so(client, path):
    first = await client.get(path)
    etag = first.headers["ETag"]

    again = [await client.get(path, headers={"If-None-Match": known}) for known in (etag, f'"x", W/{etag}', "*")]
    other = await client.get(path, headers={"If-None-Match": '"x"'})

    assert [(response.status_code, response.content) for response in again] == [(304, b"")] * 3
    assert {response.headers["ETag"] for response in again} == {etag}
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("name", ["user.sighed", "asyncapi", "..%2Fasyncapi", "%00", "user.created.json", "x" * 3000])
async def test_a_message_that_there_is_not_is_not_found(client, name):
    response = await client.get(f"/v1/contracts/{name}")

    assert response.status_code == 404
    assert response.json()["type"] == "/problems/not-found"


@pytest.mark.parametrize(("wanted", "status"), [(True, 200), (False, 404)])
async def test_the_api_serves_it_unless_it_is_told_not_to(wanted, status):
    settings = ApiSettings(
        database_url="sqlite:////nowhere/tidings.db",
        broker_url="memory://",
        link_secret=LINK_SECRET,
        relay_in_api=False,
        catalogue=wanted,
    )

    async with producer(settings, MemoryTransport()) as app, asking(app) as client:
        statuses = {(await client.get(path)).status_code for path in [*PATHS, "/v1/catalogue"]}

    assert statuses == {status}
