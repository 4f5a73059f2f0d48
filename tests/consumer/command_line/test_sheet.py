from support.builders import an_envelope
from support.dead_letters import ANN, READERS, a_dead_message, buried, claimed

from consumer_service.command_line.sheet import sheet
from consumer_service.dead_letters.audit import actions
from consumer_service.dead_letters.editing import edit, mended
from consumer_service.dead_letters.forecast import forecast
from consumer_service.dead_letters.looking import deaths
from shared.transport import Message


async def the_sheet(engine, letter):
    (prospect,) = await forecast(engine, READERS, [letter.id])
    return sheet(letter, prospect, await deaths(engine, letter.id), await actions(engine, letter.id))


async def test_one_page_tells_the_whole_story(engine):
    envelope = an_envelope()
    (letter,) = await claimed(engine, *await buried(engine, a_dead_message(envelope)))
    await buried(engine, a_dead_message(envelope, replays=1, error="KeyError at mail.py:7"))

    lines = await the_sheet(engine, letter)

    told = [line.split()[0] for line in lines]
    assert told.count("death") == 2
    assert next(line for line in lines if line.startswith("action")).endswith(
        "replay by ann: the server works again (replays 1)"
    )
    assert any("after replay 1, attempt 3: retries_exhausted, KeyError at mail.py:7" in line for line in lines)


async def test_what_is_not_known_is_said_in_words(engine):
    (letter,) = await buried(engine, Message(b"{"))

    page = "\n".join(await the_sheet(engine, letter))

    assert "of unknown type" in page
    assert "none: no task could read it" in page
    assert "dies again: no task of this code can read it (malformed)" in page


async def test_a_mended_one_names_the_original(engine):
    (original,) = await buried(engine, a_dead_message())
    body = original.body.replace(b"ann@example.org", b"ann@example.com")

    page = await the_sheet(engine, await edit(engine, original, mended(original, body), ANN, READERS))

    assert any(line.startswith(f"edited       from dead letter {original.id}") for line in page)
    assert "example.com" not in "\n".join(page)
