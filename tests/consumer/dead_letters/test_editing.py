import json

import pytest
from support.builders import an_envelope
from support.dead_letters import ANN, READERS, a_dead_message, audited, buried, put_in_state, the_letter, the_letters
from support.publishers import RecordingPublisher

from consumer_service.dead_letters.editing import difference, edit, mended, readable
from consumer_service.dead_letters.returning import send_home
from consumer_service.dispatch import REPLAYS
from consumer_service.lifecycle import State
from shared.transport import Message


@pytest.fixture
async def original(engine):
    (letter,) = await buried(engine, a_dead_message(an_envelope(), headers={"trace": "kept"}))
    return letter


def changed(letter):
    return letter.body.replace(b"ann@example.org", b"ann@example.com")


async def test_a_mended_body_gets_an_id_of_its_own_that_names_its_cause(original):
    message = mended(original, changed(original))

    envelope = READERS.read(original.queue, message)
    assert envelope.id == message.message_id != original.message_id
    assert envelope.causation_id == original.message_id
    assert (envelope.data.email, envelope.correlation_id) == ("ann@example.com", original.correlation_id)


async def test_in_binary_mode_the_id_stands_in_the_headers(engine):
    envelope = an_envelope()
    attributes = {"ce-specversion": "1.0", "ce-id": envelope.id, "ce-type": envelope.type, "ce-source": "/x"}
    body = envelope.data.model_dump_json().encode()
    message = a_dead_message(envelope, body=body, content_type="application/json", headers=attributes)
    (original,) = await buried(engine, message)

    message = mended(original, changed(original))

    assert json.loads(message.body)["email"] == "ann@example.com"
    assert message.headers["ce-id"] == message.message_id != envelope.id
    assert READERS.read(original.queue, message).causation_id == envelope.id


async def test_a_body_that_is_no_json_is_sent_as_it_was_given(engine):
    (original,) = await buried(engine, Message(b"{", message_id="m-1"))

    assert mended(original, b"[").body == b"["


async def test_the_original_is_kept_and_another_stands_in_its_place(engine, original):
    successor = await edit(engine, original, mended(original, changed(original)), ANN, READERS)

    kept = await the_letter(engine, original.id)
    assert (kept.state, kept.body) == (State.EDITED, original.body)
    assert (successor.state, successor.edited_from, successor.deaths) == (State.REPLAYING, original.id, 0)
    assert '-    "email": "ann@example.org",' in successor.diff.splitlines()
    assert '+    "email": "ann@example.com",' in successor.diff.splitlines()


async def test_it_goes_to_the_queue_that_failed_as_its_first_replay(engine, original):
    publisher = RecordingPublisher()
    successor = await edit(engine, original, mended(original, changed(original)), ANN, READERS)

    await send_home(engine, publisher, [successor])

    (sent,) = publisher.sent
    assert (sent.routing_key, sent.message.headers[REPLAYS]) == (original.queue, 1)
    assert sent.message.headers["trace"] == "kept"
    assert (await the_letter(engine, successor.id)).state is State.REPLAYED


async def test_one_that_dies_again_waits_as_the_mended_one_it_is(engine, original):
    publisher = RecordingPublisher()
    successor = await edit(engine, original, mended(original, changed(original)), ANN, READERS)
    await send_home(engine, publisher, [successor])
    sent = publisher.sent[0].message

    await buried(engine, a_dead_message(body=sent.body, message_id=sent.message_id, replays=1))

    states = {letter.id: letter.state for letter in await the_letters(engine)}
    assert states == {original.id: State.EDITED, successor.id: State.WAITING}


async def test_an_edit_is_audited_on_both_and_quotes_nothing(engine, original):
    successor = await edit(engine, original, mended(original, changed(original)), ANN, READERS)

    assert [(action, id_) for action, _, _, id_ in await audited(engine)] == [
        ("edit", original.id),
        ("replay", successor.id),
    ]
    assert "example" not in str(await audited(engine))


async def test_what_somebody_has_decided_on_meanwhile_is_not_edited(engine, original):
    await put_in_state(engine, State.DISCARDED, original)

    assert await edit(engine, original, mended(original, changed(original)), ANN, READERS) is None

    assert len(await the_letters(engine)) == 1
    assert await audited(engine) == []


def test_a_difference_is_one_of_meaning_and_not_of_layout():
    assert difference(b'{"a":1}', b'{\n  "a": 1\n}\n') == ""
    assert '+  "a": 2' in difference(b'{"a":1}', b'{"a":2}')


def test_a_body_that_is_no_text_can_still_be_shown():
    assert readable(b"\xff{") == "\\xff{"
    assert "\x00" not in difference(b"\x00", b"b")
