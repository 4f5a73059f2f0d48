"""Messages that nobody should have sent, from a foreign publisher, through a real broker, to a real worker."""

import asyncio
import json

import aiormq.exceptions
import pytest
from support.builders import a_new_id, a_user_created, an_envelope
from support.foreign import Raw, publish_raw
from support.pair import BOOKKEEPING, MAIL, PROMPT
from support.peeking import header, peek
from support.tasks import effects
from support.waiting import eventually

from shared.envelope import STRUCTURED, encode
from shared.transport import LARGEST_BODY

pytestmark = [pytest.mark.broker, pytest.mark.fault]

TO_MAIL = {"exchange": "domain.tasks", "key": "mail.anything"}
TO_ALL = {"exchange": "domain.events", "key": "user.created"}


def a_body(**changes):
    """Return a readable event in which these fields are replaced, or left out where the value is `...`."""
    whole = json.loads(encode(an_envelope(a_user_created(name=PROMPT)))) | changes
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def structured(body, **properties):
    return Raw(body, {"content_type": STRUCTURED, **properties})


WHOLE = json.loads(a_body())
UNREADABLE = {
    "no JSON": (structured(b"hello"), "malformed"),
    "nothing": (structured(b""), "malformed"),
    "no object": (structured(b"[1, 2, 3]"), "malformed"),
    "latin-1": (structured(a_body(source="/caf\u00e9").decode("unicode-escape").encode("latin-1")), "malformed"),
    "utf-16": (structured(a_body().decode().encode("utf-16")), "malformed"),
    "deep nesting": (structured(b"[" * 100_000), "malformed"),
    "not a number": (structured(a_body(data=float("nan"))), "malformed"),
    "a huge number": (
        structured(b'{"specversion": "1.0", "type": "user.created", "id": ' + b"9" * 4000 + b"}"),
        "invalid",
    ),
    "too large": (structured(b"{" + b" " * LARGEST_BODY), "oversized"),
    "unknown type": (structured(a_body(type="order.placed")), "unknown_type"),
    "unknown version": (structured(a_body(type="user.created.v9")), "unsupported_version"),
    "a field missing": (structured(a_body(data={**WHOLE["data"], "user_id": None})), "invalid"),
    "no data": (structured(a_body(data=...)), "invalid"),
    "no id": (structured(a_body(id=...)), "invalid"),
    "an id that is no text": (structured(a_body(id=7)), "invalid"),
    "an id with a line break": (structured(a_body(id="a\r\nBcc: b@example.org")), "invalid"),
    "wrong content type": (Raw(a_body(), {"content_type": "image/png"}), "invalid"),
}

FORGED_DEATH = {"count": 999, "queue": MAIL, "reason": "rejected", "exchange": "dead", "routing-keys": [MAIL]}
ODD = {
    "more fields": structured(a_body(colour="green", data={**WHOLE["data"], "shoe_size": 43}, id="more fields")),
    "a field twice": structured(a_body(id="a field twice").replace(b'"type":', b'"type": "x", "type":')),
    "a thousand headers": structured(
        a_body(id="a thousand headers"), headers={f"x-{n}": "y" * 20 for n in range(1000)}
    ),
    "a forged x-death": structured(a_body(id="a forged x-death"), headers={"x-death": [FORGED_DEATH]}),
    "a forged attempt": structured(
        a_body(id="a forged attempt"), headers={"tidings-attempt": -1, "x-delivery-count": 99}
    ),
    "no properties": Raw(a_body(id="no properties")),
}
"""Strange, and readable all the same. Each has its name as its id."""


@pytest.fixture
async def worker(scene, services):
    return await services.start("consumer_service", "worker", "-q", "mail", env=scene.consumer_env).is_ready()


async def test_what_cannot_be_read_is_dead_at_once_with_its_reason_and_its_very_bytes(scene, worker):
    messages = [Raw(raw.body, raw.properties | {"message_id": name}) for name, (raw, _) in UNREADABLE.items()]

    await publish_raw(scene.admin.url, messages, **TO_MAIL)

    async def dead():
        await asyncio.sleep(0.2)
        found = {message.message_id: message for message in await peek(scene.admin.url, f"{MAIL}.dead")}
        return found if len(found) == len(UNREADABLE) else None

    graves = await eventually(dead, within=60)
    reasons = {name: header(message, "tidings-reason") for name, message in graves.items()}
    assert reasons == {name: reason for name, (_, reason) in UNREADABLE.items()}
    assert {name: message.body for name, message in graves.items()} == {
        name: raw.body for name, (raw, _) in UNREADABLE.items()
    }
    assert {header(message, "tidings-progress") for message in graves.values()} == {"dead on attempt 1"}
    assert await worker.answers()
    assert "Bcc" not in worker.said


async def test_what_is_strange_but_readable_is_done_like_any_other(scene, worker):
    await publish_raw(scene.admin.url, ODD.values(), **TO_MAIL)

    await eventually(lambda: len(scene.smtp.mails) == len(ODD), within=60)

    assert len({mail["message-id"] for mail in scene.smtp.mails}) == len(ODD)
    await eventually(lambda: worker.said.count('"delivery.acked"') == len(ODD), within=30)
    assert await peek(scene.admin.url, f"{MAIL}.dead") == []


async def test_nobody_can_publish_under_another_name(scene):
    forged = structured(a_body(), user_id="somebody else")

    with pytest.raises(aiormq.exceptions.AMQPError, match=r"(?i)user_id"):
        await publish_raw(scene.admin.url, [forged], **TO_ALL)


async def test_a_hundred_copies_on_three_workers_are_one_effect(pair, doomed):
    others = [await consuming(doomed("worker")) for _ in range(2)]
    event = an_envelope(a_user_created(name=PROMPT))

    await publish_raw(pair.admin.url, [structured(encode(event), message_id=event.id)] * 100, **TO_ALL)

    await eventually(lambda: duplicates(pair, others) == 2 * 99, within=60)
    assert await effects(pair.inbox) == {event.id: 1}
    assert len(pair.smtp.mails) == 1


async def consuming(worker):
    """Wait until a worker in another process consumes both queues."""
    await eventually(lambda: worker.said.count("consumer.consuming") == 2, within=40)
    return worker


def duplicates(pair, others):
    """Count the deliveries that were acked because their twin had been done, on all workers and both queues."""
    labels = {"type": "user.created", "outcome": "duplicate"}
    ours = sum(pair.sample("tidings_deliveries_total", queue=queue, **labels) for queue in (MAIL, BOOKKEEPING))
    return ours + sum(other.said.count('"delivery.duplicate"') for other in others)


async def test_of_two_bodies_under_one_id_the_second_is_dead(pair):
    id_ = a_new_id()
    first, second = (an_envelope(a_user_created(name=PROMPT, locale=locale), id=id_) for locale in ("en", "zh"))
    await publish_raw(pair.admin.url, [structured(encode(first), message_id=id_)], **TO_ALL)
    await eventually(lambda: pair.smtp.mails, within=30)

    await publish_raw(pair.admin.url, [structured(encode(second), message_id=id_)], **TO_ALL)

    async def both_dead():
        await asyncio.sleep(0.1)
        return [await pair.dead(queue) for queue in (MAIL, BOOKKEEPING)] == [{id_: "id_conflict"}] * 2

    await eventually(both_dead, within=30)
    assert await effects(pair.inbox) == {id_: 1}
    assert [mail["content-language"] for mail in pair.smtp.mails] == ["en"]
