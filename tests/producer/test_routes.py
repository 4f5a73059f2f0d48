import pytest
from pydantic import SecretStr
from sqlalchemy import text, update
from support.clients import asking
from support.databases import on_sqlite
from support.hashing import CHEAP

from producer_service.app import producer
from producer_service.models import OutboxRow, Status
from shared.backends.memory import MemoryTransport
from shared.envelope import EnvelopeReader
from shared.events import EVENTS, UserCreated
from shared.transport import Message

ANN = {"email": "ann@example.org", "password": "correct horse", "name": "Ann", "locale": "de"}
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


async def test_a_registration_is_accepted_and_can_be_followed(client):
    response = await client.post("/v1/users", json=ANN)

    event_id = response.json()["event_id"]
    assert response.status_code == 202
    assert response.json() == {"status": "accepted", "event_id": event_id}
    assert (await client.get(response.headers["Location"])).json()["id"] == event_id


async def test_an_accepted_registration_is_committed_with_its_event(client, rows):
    response = await client.post("/v1/users", json=ANN)

    (row,) = await rows()
    event = EnvelopeReader(EVENTS).read(Message(body=row.payload)).data
    assert row.id == response.json()["event_id"]
    assert isinstance(event, UserCreated)
    assert (event.email, event.name, event.locale) == ("ann@example.org", "Ann", "de")


async def test_a_known_address_gets_the_same_answer(client):
    first = await client.post("/v1/users", json=ANN)
    second = await client.post("/v1/users", json=ANN | {"email": "ANN@example.org"})

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json().keys() == second.json().keys()
    assert {*first.headers} == {*second.headers}
    assert [len(value) for value in first.headers.values()] == [len(value) for value in second.headers.values()]


async def test_the_status_of_a_known_address_looks_like_that_of_a_new_one(client):
    answers = [await client.post("/v1/users", json=ANN) for _ in range(2)]

    first, second = [(await client.get(answer.headers["Location"])).json() for answer in answers]
    assert first.keys() == second.keys()
    assert [first[name] == second[name] for name in ("status", "attempts", "last_error", "parked_reason")] == [True] * 4
    assert "user" not in str(first) + str(second)


async def test_a_status_tells_how_far_a_message_has_come(client, recorded):
    (event_id,) = await recorded()

    status = (await client.get(f"/v1/events/{event_id}")).json()

    assert status.pop("recorded_at").endswith("Z")
    assert status == {
        "id": event_id,
        "status": "pending",
        "attempts": 0,
        "last_error": None,
        "published_at": None,
        "parked_reason": None,
        "deliver_at": None,
        "cancelled_at": None,
    }


@on_sqlite
async def test_a_status_does_not_repeat_the_words_of_the_broker(client, recorded, engine):
    (event_id,) = await recorded()
    words = "forbidden: access to topic 'user.created' refused"
    async with engine.begin() as connection:
        parked = {"status": Status.PARKED, "parked_reason": "forbidden", "last_error": words, "attempts": 1}
        await connection.execute(update(OutboxRow).values(parked))

    status = (await client.get(f"/v1/events/{event_id}")).json()

    assert (status["status"], status["parked_reason"], status["last_error"]) == ("parked", "forbidden", "forbidden")


@pytest.mark.parametrize("event_id", ["unknown", "%00", "%0a", "%ff", "%c3%a4", "x" * 3000])
async def test_an_unknown_message_is_not_found(client, event_id):
    response = await client.get(f"/v1/events/{event_id}")

    assert response.status_code == 404
    assert response.json()["type"] == "/problems/not-found"


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"email": "ann"}, "/email", "must be an e-mail address, as in ann@example.org"),
        ({"password": "short"}, "/password", "must have 8 to 128 characters"),
        ({"name": "a\nb"}, "/name", "must be one line without control characters"),
        ({"name": "=?UTF-8?Q?=0A?="}, "/name", "must not hold an encoded word (RFC 2047) or an encoded line break"),
        ({"locale": "x" * 36}, "/locale", "String should have at most 35 characters"),
        ({"is_admin": True}, "/is_admin", "Extra inputs are not permitted"),
        ({"a/b~c": 1}, "/a~1b~0c", "Extra inputs are not permitted"),
    ],
)
async def test_an_invalid_field_is_pointed_at(door, change, pointer, detail):
    response = await door.post("/v1/users", json=ANN | change)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_every_invalid_field_is_pointed_at_and_no_value_repeated(door):
    canaries = {"email": "canary", "password": "canary", "name": "canary\n" * 5, "locale": "canary canary"}

    response = await door.post("/v1/users", json=canaries)

    assert [error["pointer"] for error in response.json()["errors"]] == ["/email", "/password", "/name", "/locale"]
    assert "canary" not in response.text


async def test_a_missing_body_is_invalid(door):
    response = await door.post("/v1/users", headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["errors"]) == (422, [{"pointer": "", "detail": "Field required"}])


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 60_000, b'{"a":' * 9_000, b"nonsense"])
async def test_a_body_that_is_not_json_is_malformed(door, body):
    response = await door.post("/v1/users", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"NaN"])
async def test_a_body_that_is_not_an_object_is_invalid(door, body):
    response = await door.post("/v1/users", content=body, headers={"content-type": "application/json"})

    assert response.status_code == 422


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_a_body_that_is_not_declared_as_json_is_refused(door, content_type):
    response = await door.post("/v1/users", content=b"{}", headers={"content-type": content_type})

    assert (response.status_code, response.json()["type"]) == (415, "/problems/not-json")


async def test_json_may_be_declared_with_a_charset(door):
    response = await door.post("/v1/users", content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"})

    assert response.status_code == 422


async def test_another_method_is_not_allowed_and_told_which_is(door):
    response = await door.get("/v1/users")

    assert (response.status_code, response.json()["type"]) == (405, "/problems/method-not-allowed")
    assert response.headers["Allow"] == "POST"


async def test_an_unknown_path_is_not_found(door):
    response = await door.get("/v2/users")

    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_a_body_that_is_too_large_is_refused(door):
    response = await door.post("/v1/users", json=ANN | {"name": "x" * 70_000})

    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")


@on_sqlite
async def test_the_correlation_and_trace_of_a_request_travel_with_its_event(client, rows):
    headers = {"X-Correlation-ID": "order-66", "traceparent": TRACEPARENT}

    response = await client.post("/v1/users", json=ANN, headers=headers)

    (row,) = await rows()
    envelope = EnvelopeReader(EVENTS).read(Message(body=row.payload))
    assert response.headers["X-Correlation-ID"] == "order-66"
    assert (envelope.correlation_id, envelope.traceparent, row.correlationid) == ("order-66", TRACEPARENT, "order-66")


@on_sqlite
async def test_a_request_without_correlation_gets_one_that_its_event_shares(client, rows):
    response = await client.post("/v1/users", json=ANN, headers={"traceparent": "nonsense"})

    (row,) = await rows()
    assert row.correlationid == response.headers["X-Correlation-ID"]
    assert EnvelopeReader(EVENTS).read(Message(body=row.payload)).traceparent is None


async def test_a_database_that_is_not_migrated_is_worth_a_later_try(client, engine):
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE users RENAME TO elsewhere"))

    response = await client.post("/v1/users", json=ANN)

    assert (response.status_code, response.json()["type"]) == (503, "/problems/database-unavailable")
    assert response.headers["Retry-After"] == "5"


@on_sqlite
async def test_a_database_that_is_away_is_worth_a_later_try(settings):
    nobody_there = SecretStr("postgresql://canary@127.0.0.1:1/canary")
    away = settings.model_copy(update={"database_url": nobody_there})

    async with producer(away, MemoryTransport(), hasher=CHEAP) as app, asking(app) as client:
        response = await client.post("/v1/users", json=ANN)

    assert (response.status_code, response.json()["type"]) == (503, "/problems/database-unavailable")
    assert "canary" not in response.text


@on_sqlite
async def test_requests_are_counted_by_their_route(client):
    await client.get("/v1/events/some-id")

    scraped = (await client.get("/metrics")).text
    assert 'tidings_http_requests_total{method="GET",route="/v1/events/{event_id}",status="404"} 1.0' in scraped


async def test_the_contract_of_the_api_can_be_read(door):
    paths = (await door.get("/openapi.json")).json()["paths"]

    assert {"/v1/users", "/v1/events/{event_id}", "/v1/events", "/v1/events:batch"} <= set(paths)
    assert {"202", "413", "415", "422", "503"} <= set(paths["/v1/users"]["post"]["responses"])
