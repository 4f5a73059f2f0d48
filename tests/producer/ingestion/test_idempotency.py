import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from producer.ingestion.conftest import an_event
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from support.databases import on_postgres, on_sqlite

from producer_service.ingestion.idempotency import (
    Answer,
    InProgress,
    Once,
    Turns,
    fingerprint,
    purge_answers,
    store_answer,
    stored_answer,
)
from producer_service.ingestion_tables import StoredAnswer

KEY = {"Idempotency-Key": '"order-66"'}
ONCE = Once("shop", "order-66", b"x" * 32)


async def test_a_repeated_request_is_answered_as_the_first_was_and_records_nothing_more(send, rows):
    first, second = [await send(**KEY) for _ in range(2)]

    assert (first.status_code, first.content, first.headers["Location"]) == (
        second.status_code,
        second.content,
        second.headers["Location"],
    )
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(await rows()) == 1


async def test_another_body_under_the_same_key_is_refused(send, rows):
    await send(**KEY)

    answer = await send(an_event(data={"name": "Bob"}), **KEY)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert len(await rows()) == 1


async def test_of_requests_at_once_with_one_key_one_is_carried_out_and_the_others_come_too_early(send, rows):
    answers = await asyncio.gather(*(send(**KEY) for _ in range(5)))

    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {202, 409}
    assert 202 in codes
    assert [answer.headers["Retry-After"] for answer in answers if answer.status_code == 409] == ["1"] * codes.count(
        409
    )
    assert len(await rows()) == 1
    assert (await send(**KEY)).headers["Idempotency-Replayed"] == "true"


@on_sqlite
async def test_the_outcomes_of_a_batch_are_given_again_too(send_batch, rows):
    first, second = [await send_batch(an_event(), "nonsense", **KEY) for _ in range(2)]

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(await rows()) == 1


@on_sqlite
async def test_what_was_refused_may_come_again_under_its_key_once_it_is_mended(send):
    refused = await send(an_event(data={"email": "x"}), **KEY)

    assert (refused.status_code, (await send(**KEY)).status_code) == (422, 202)


@on_sqlite
async def test_keys_of_two_clients_are_not_the_same(send, client, a_key, rows):
    await send(**KEY)

    other = {"Authorization": f"Bearer {await a_key('till')}"} | KEY
    answer = await client.post("/v1/events", json=an_event(data={"name": "Bob"}), headers=other)

    assert (answer.status_code, len(await rows())) == (202, 2)


@on_sqlite
async def test_a_rotated_key_gets_the_answer_that_its_predecessor_was_given(send, client, a_key):
    await send(**KEY)

    answer = await client.post(
        "/v1/events", json=an_event(), headers={"Authorization": f"Bearer {await a_key('shop')}"} | KEY
    )

    assert answer.headers["Idempotency-Replayed"] == "true"


@on_sqlite
async def test_a_key_that_cannot_be_read_is_refused(send):
    for word in ("", "a b", "x" * 256, '"open', "ü".encode()):
        answer = await send(**{"Idempotency-Key": word})

        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/idempotency-key-malformed")


@on_postgres
async def test_a_key_is_in_progress_while_a_transaction_of_another_process_has_it(engine):
    async with AsyncSession(engine) as one, AsyncSession(engine) as other:
        assert await stored_answer(one, ONCE) is None

        with pytest.raises(InProgress):
            await stored_answer(other, ONCE)


async def test_a_key_whose_request_died_is_free_again(engine):
    async with AsyncSession(engine) as died:
        assert await stored_answer(died, ONCE) is None
        await store_answer(died, ONCE, Answer(202, {}, b"{}"))

    async with AsyncSession(engine) as session:
        assert await stored_answer(session, ONCE) is None


async def test_answers_are_purged_when_they_are_old_and_a_few_at_a_time(engine):
    async with AsyncSession(engine) as session, session.begin():
        for number in range(5):
            await store_answer(session, Once("shop", str(number), b""), Answer(202, {}, b"{}"))
        old = update(StoredAnswer).where(StoredAnswer.key != "4")
        await session.execute(old.values(stored_at=datetime.now(UTC) - timedelta(hours=25)))

    purged = [await purge_answers(engine, timedelta(hours=24), most=3) for _ in range(3)]

    async with AsyncSession(engine) as session:
        left = await session.scalar(select(func.count()).select_from(StoredAnswer))
    assert (purged, left) == ([3, 1, 0], 1)


def test_a_turn_ends_with_its_request_however_that_ends():
    turns = Turns()

    with pytest.raises(ValueError, match="died"):
        take_a_turn_and_die(turns)

    with turns.taken(ONCE), turns.taken(None), turns.taken(None):
        pass


def take_a_turn_and_die(turns):
    with turns.taken(ONCE):
        with pytest.raises(InProgress):
            turns.taken(ONCE).__enter__()
        raise ValueError("died")


def test_parts_are_told_apart():
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")
