"""What other services see of ingestion: what they may send, and what they are answered."""

import asyncio
import json
from functools import partial
from uuid import UUID

from producer.ingestion.conftest import DATA, a_cloudevent, an_event
from sqlalchemy import text
from support.clients import asking
from support.databases import on_postgres, on_sqlite
from support.waiting import eventually

from producer_service.app import producer
from shared.backends.memory import MemoryTransport
from shared.commands import COMMANDS
from shared.envelope import EnvelopeReader
from shared.events import EVENTS
from shared.transport import LARGEST_BODY, Message

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def read(row):
    return EnvelopeReader([*EVENTS, *COMMANDS]).read(Message(body=row.payload))


async def test_an_event_is_accepted_recorded_and_can_be_followed(send, shop, rows):
    answer = await send()

    (row,) = await rows()
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "event_id": row.id})
    assert answer.headers["Location"] == f"/v1/events/{row.id}"
    assert (await shop.get(answer.headers["Location"])).json()["status"] == "pending"
    assert (row.source, row.exchange, read(row).data.email) == ("/shop", "domain.events", "ann@example.org")


async def test_a_cloudevent_keeps_what_it_says_of_itself(shop, rows):
    event = a_cloudevent(time="2026-11-22T10:00:00+01:00", subject="ann", correlationid="c-7", traceparent=TRACEPARENT)

    answer = await shop.post(
        "/v1/events", content=json.dumps(event), headers={"Content-Type": "application/cloudevents+json"}
    )

    (row,) = await rows()
    assert answer.json()["event_id"] == row.id == "node-1"
    assert (row.aggregateid, row.time.isoformat()) == ("ann", "2026-11-22T09:00:00+00:00")
    assert (row.correlationid, read(row).traceparent) == ("c-7", TRACEPARENT)


@on_sqlite
async def test_binary_mode_is_read(shop, rows):
    attributes = {"ce-specversion": "1.0", "ce-id": "b-1", "ce-source": "/sh%6Fp", "ce-type": "user.created"}

    answer = await shop.post("/v1/events", json=DATA, headers=attributes)

    (row,) = await rows()
    assert (answer.status_code, row.id, row.source, read(row).data.email) == (202, "b-1", "/shop", "ann@example.org")


@on_sqlite
async def test_a_command_goes_to_the_tasks(client, a_key, rows):
    key = await a_key(types=["mail.send"])

    await client.post(
        "/v1/events",
        json={"type": "mail.send", "data": {"to": "bob@example.org"}},
        headers={"Authorization": f"Bearer {key}"},
    )

    (row,) = await rows()
    assert (row.type, row.exchange) == ("mail.send", "domain.tasks")


@on_sqlite
async def test_what_a_request_says_of_its_journey_is_handed_on(send, rows):
    await send(**{"X-Correlation-ID": "order-66", "traceparent": TRACEPARENT})

    (row,) = await rows()
    assert (row.correlationid, read(row).traceparent) == ("order-66", TRACEPARENT)


async def test_an_event_that_is_sent_again_is_answered_alike_and_recorded_once(send, rows):
    answers = [await send(an_event(id="e-1")) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert len(await rows()) == 1


async def test_an_id_that_belongs_to_another_message_is_refused(send, rows):
    await send(an_event(id="e-1"))

    answer = await send(an_event(id="e-1", data={"name": "Bob"}))

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/id-taken")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/id"]
    assert len(await rows()) == 1


@on_sqlite
async def test_every_field_that_is_wrong_is_pointed_at_and_nothing_is_recorded(send, rows):
    answer = await send(an_event(data={"email": "canary", "nmae": "canary"}, colour="canary"))

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/data/email", "/data/nmae", "/colour"}
    assert "canary" not in answer.text
    assert await rows() == []


@on_sqlite
async def test_in_binary_mode_a_wrong_attribute_is_named_by_its_header(shop):
    headers = {"ce-specversion": "1.0", "ce-id": "b/1", "ce-source": "/shop", "ce-type": "user.created"}

    answer = await shop.post("/v1/events", json=DATA, headers=headers)
    (error,) = answer.json()["errors"]
    data = await shop.post("/v1/events", json=DATA | {"email": "x"}, headers=headers)

    assert (answer.status_code, error["header"]) == (422, "ce-id")
    assert [each["pointer"] for each in data.json()["errors"]] == ["/email"]


@on_sqlite
async def test_without_a_key_nobody_comes_in(shop):
    key = shop.headers["Authorization"].removeprefix("Bearer ")
    for authorization in ("", "Bearer nonsense", f"Bearer tdk_{'0' * 12}_{'0' * 64}", f"Basic {key}"):
        answer = await shop.post("/v1/events", json=an_event(), headers={"Authorization": authorization})

        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/no-api-key")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tidings"'


@on_sqlite
async def test_what_the_key_may_not_send_is_refused_with_what_it_may(send):
    cases = [
        ({"type": "mail.send", "data": {"to": "a@b"}}, "/type", "user.*"),
        (an_event(source="/tidings/producer"), "/source", "/shop"),
    ]
    for event, pointer, may in cases:
        answer = await send(event)

        (error,) = answer.json()["errors"]
        assert (answer.status_code, answer.json()["type"], error["pointer"]) == (403, "/problems/out-of-scope", pointer)
        assert may in error["detail"]


BODIES = [
    ("/v1/events", "text/plain", "{}", 415),
    ("/v1/events", "", "{}", 415),
    ("/v1/events", "application/cloudevents-batch+json", "[]", 415),
    ("/v1/events:batch", "application/cloudevents+json", "{}", 415),
    ("/v1/events", "application/json", "{", 400),
    ("/v1/events", "application/json", '"\\ud800"', 400),
    ("/v1/events", "application/json", "[" * 60_000, 400),
    ("/v1/events", "application/json", " " * (LARGEST_BODY + 1), 413),
    ("/v1/events:batch", "application/json", " " * (8 * 1024 * 1024 + 1), 413),
    ("/v1/events:batch", "application/json", "[]", 422),
    ("/v1/events:batch", "application/json", json.dumps([1] * 501), 422),
    ("/v1/events:batch", "application/json", "{}", 422),
]


@on_sqlite
async def test_a_body_that_cannot_be_taken_is_a_problem_of_its_own(shop):
    for path, content_type, body, status in BODIES:
        answer = await shop.post(path, content=body, headers={"Content-Type": content_type})

        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body[:20]


async def test_in_a_batch_each_event_has_its_own_outcome(send_batch, rows):
    answer = await send_batch(an_event(id="e-1"), an_event(data={"email": "x"}), "nonsense", an_event(id="e-2"))

    told = answer.json()
    assert (answer.status_code, told["accepted"], told["refused"]) == (207, 2, 2)
    assert [each["status"] for each in told["events"]] == ["accepted", "refused", "refused", "accepted"]
    assert told["events"][0]["location"] == "/v1/events/e-1"
    assert [each["problem"]["errors"][0]["pointer"] for each in told["events"][1:3]] == ["/1/data/email", "/2"]
    assert [row.id for row in await rows()] == ["e-1", "e-2"]


async def test_a_batch_is_recorded_in_its_order(send_batch, rows):
    ids = [f"e-{number}" for number in range(500)]

    answer = await send_batch(*(an_event(id=each) for each in reversed(ids)))

    assert (answer.status_code, answer.json()["accepted"]) == (202, 500)
    assert [row.id for row in await rows()] == ids[::-1]


async def test_an_atomic_batch_is_recorded_whole_or_not_at_all(send_batch, rows):
    wrong = await send_batch(an_event(), an_event(data={"email": "x"}), atomic=True)
    left = await rows()
    right = await send_batch(an_event(), an_event(), atomic=True)

    assert (wrong.status_code, [each["pointer"] for each in wrong.json()["errors"]]) == (422, ["/1/data/email"])
    assert (left, right.status_code, len(await rows())) == ([], 202, 2)


async def test_ids_that_meet_in_a_batch_are_told_apart_by_what_they_say(send, send_batch, rows):
    await send(an_event(id="old"))
    events = [an_event(id="old"), an_event(id="new"), an_event(id="new"), an_event(id="new", data={"name": "Bob"})]

    told = (await send_batch(*events, an_event(id="old", data={"name": "Bob"}))).json()["events"]

    assert [each["status"] for each in told] == ["accepted", "accepted", "accepted", "refused", "refused"]
    assert [row.id for row in await rows()] == ["old", "new"]


@on_postgres
async def test_whoever_records_the_same_ids_crosswise_may_come_again(send, send_batch, rows, engine):
    await send(an_event(id="seed"))
    copy = "INSERT INTO outbox ({0}) SELECT {1} FROM outbox WHERE id = 'seed'"
    columns = "id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time, recorded_at"
    its_own = columns.removeprefix("id, ")

    async with engine.connect() as other:
        await other.execute(text(copy.format(columns, f"'second', {its_own}")))
        sending = asyncio.create_task(send_batch(an_event(id="first"), an_event(id="second")))
        await eventually(partial(waits_for_a_lock, engine))
        await other.execute(text(copy.format(columns, f"'first', {its_own}")))
        answer = await sending
        await other.rollback()
    again = await send_batch(an_event(id="first"), an_event(id="second"))

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/in-progress")
    assert answer.headers["Retry-After"] == "1"
    assert (again.status_code, [row.id for row in await rows()]) == (202, ["seed", "first", "second"])


async def waits_for_a_lock(engine):
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with engine.connect() as connection:
        return (await connection.execute(text(waiting))).first()


@on_sqlite
async def test_beyond_its_rate_a_key_must_wait(client, a_key):
    headers = {"Authorization": f"Bearer {await a_key(rate=1)}"}
    within = [await client.post("/v1/events", json=an_event(), headers=headers) for _ in range(10)]

    beyond = await client.post("/v1/events", json=an_event(), headers=headers)

    assert {answer.status_code for answer in within} == {202}
    assert within[0].headers["RateLimit"] == '"events";r=9;t=0'
    assert (beyond.status_code, beyond.headers["Retry-After"]) == (429, "1")
    assert beyond.headers["RateLimit-Policy"] == '"events";q=10;w=10'


@on_sqlite
async def test_the_events_of_each_client_are_counted(send, shop):
    await send()

    assert 'tidings_ingested_total{client="shop"} 1.0' in (await shop.get("/metrics")).text


@on_sqlite
async def test_the_description_of_the_api_says_what_may_be_sent(client):
    described = (await client.get("/openapi.json")).json()

    sending = described["paths"]["/v1/events"]["post"]
    assert set(sending["requestBody"]["content"]) == {"application/cloudevents+json", "application/json"}
    assert {"202", "401", "403", "409", "413", "415", "422", "429", "503"} <= set(sending["responses"])
    assert sending["security"] == [{"apiKey": []}]
    assert described["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"


@on_sqlite
async def test_a_batch_may_be_larger_than_any_other_request(send_batch, rows):
    long = {"email": f"{'x' * 200}@example.org", "name": "y" * 200}

    answer = await send_batch(*(an_event(data=long, subject="z" * 255) for _ in range(500)))

    assert (answer.status_code, len(answer.request.content) > 400_000, len(await rows())) == (202, True, 500)


@on_sqlite
async def test_a_full_outbox_lets_nobody_in(settings, a_key, recorded):
    await recorded(*(UUID(int=number) for number in range(3)))
    full = settings.model_copy(update={"outbox_high_water": 1})
    headers = {"Authorization": f"Bearer {await a_key()}"}

    async with producer(full, MemoryTransport()) as app, asking(app) as client:
        await eventually(partial(is_full, client), within=10)
        answer = await client.post("/v1/events", json=an_event(), headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/outbox-full")
    assert int(answer.headers["Retry-After"]) > 0


async def is_full(client):
    return "tidings_outbox_full 1.0" in (await client.get("/metrics")).text
