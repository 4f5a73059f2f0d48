import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.builders import an_envelope
from support.databases import on_postgres
from support.dead_letters import MAIL, NOTIFICATION, a_dead_message, a_letter, buried, put_in_state, the_letters

from consumer_service.dead_letters.looking import deaths
from consumer_service.dead_letters.recording import record
from consumer_service.lifecycle import State
from shared.transport import Message

EARLIER = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


async def test_a_dead_letter_is_kept_as_it_was_received(engine):
    message = a_dead_message(headers={"trace": "kept"}, died_at=EARLIER)

    await record(engine, [a_letter(message)])

    (letter,) = await the_letters(engine)
    assert (letter.body, dict(letter.headers)) == (message.body, dict(message.headers))
    assert (letter.state, letter.deaths, letter.first_died_at) == (State.WAITING, 1, EARLIER)


async def test_a_body_that_is_no_text_at_all_is_kept_byte_by_byte(engine):
    await record(engine, [a_letter(Message(b"\x00\xff{"))])

    assert (await the_letters(engine))[0].body == b"\x00\xff{"


async def test_a_copy_that_is_delivered_again_is_no_second_dead_letter_and_no_second_death(engine):
    letter = a_letter()
    (first,) = await record(engine, [letter])

    again = await record(engine, [letter, letter])

    assert [(each.id, each.is_news) for each in (first, *again)] == [
        (first.id, True),
        (first.id, False),
        (first.id, False),
    ]
    assert (await the_letters(engine))[0].deaths == 1


async def test_twins_in_one_batch_are_one_dead_letter_that_died_twice(engine):
    envelope = an_envelope()
    twins = [a_dead_message(envelope, died_at=EARLIER + timedelta(seconds=at)) for at in (0, 5)]

    recorded = await record(engine, [a_letter(twin) for twin in twins])

    (letter,) = await the_letters(engine)
    assert [each.is_news for each in recorded] == [True, True]
    assert (letter.deaths, letter.first_died_at, letter.last_died_at) == (2, EARLIER, EARLIER + timedelta(seconds=5))
    assert len(await deaths(engine, letter.id)) == 2


async def test_the_same_message_in_two_queues_is_two_dead_letters(engine):
    message = a_dead_message()

    await record(engine, [a_letter(message, queue=queue) for queue in (MAIL, NOTIFICATION)])

    assert {letter.queue for letter in await the_letters(engine)} == {MAIL, NOTIFICATION}


async def test_another_body_under_the_same_id_is_another_dead_letter(engine):
    message = a_dead_message()
    forged = replace(message, body=message.body.replace(b"ann@", b"eve@"))

    await record(engine, [a_letter(message), a_letter(forged)])

    assert len(await the_letters(engine)) == 2


@pytest.mark.parametrize("state", [State.REPLAYING, State.REPLAYED])
async def test_a_replay_that_dies_waits_again_with_its_new_death(engine, state):
    envelope = an_envelope()
    (letter,) = await buried(engine, a_dead_message(envelope, replays=1, died_at=EARLIER))
    await put_in_state(engine, state, letter)

    await buried(engine, a_dead_message(envelope, replays=1, error="KeyError at mail.py:7"))

    (letter,) = await the_letters(engine)
    assert (letter.state, letter.deaths, letter.error) == (State.WAITING, 2, "KeyError at mail.py:7")


async def test_an_older_copy_that_comes_late_is_counted_and_hides_nothing(engine):
    envelope = an_envelope()
    (letter,) = await buried(engine, a_dead_message(envelope, replays=2, error="KeyError at mail.py:7"))
    await put_in_state(engine, State.REPLAYED, letter)

    await buried(engine, a_dead_message(envelope, replays=1))

    (letter,) = await the_letters(engine)
    assert (letter.state, letter.deaths, letter.error) == (State.REPLAYED, 2, "KeyError at mail.py:7")


async def test_what_was_discarded_stays_discarded_however_many_copies_come_in(engine):
    envelope = an_envelope()
    (letter,) = await buried(engine, a_dead_message(envelope, died_at=EARLIER))
    await put_in_state(engine, State.DISCARDED, letter)

    await buried(engine, a_dead_message(envelope))

    (letter,) = await the_letters(engine)
    assert (letter.state, letter.deaths) == (State.DISCARDED, 2)


async def test_nothing_to_keep_asks_the_database_nothing(no_database):
    assert await record(no_database, []) == []


@on_postgres
async def test_two_collectors_with_the_same_letters_keep_each_once(engine):
    letters = [a_letter() for _ in range(20)]

    one, two = await asyncio.gather(record(engine, letters), record(engine, letters[::-1]))

    kept = await the_letters(engine)
    assert [letter.deaths for letter in kept] == [1] * 20
    assert sum(each.is_news for each in (*one, *two)) == 20
