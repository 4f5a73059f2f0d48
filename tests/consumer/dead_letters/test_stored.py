from datetime import UTC, datetime

from support.dead_letters import READERS, a_dead_message, buried, the_letters

from consumer_service.lifecycle import State


async def test_a_row_becomes_the_value_and_the_value_the_message_again(engine):
    message = a_dead_message(headers={"trace": "kept", "at": datetime(2026, 11, 22, tzinfo=UTC)})
    await buried(engine, message)

    (letter,) = await the_letters(engine)

    assert letter.state is State.WAITING
    assert dict(letter.headers) == dict(message.headers)
    again = letter.message
    assert (again.body, again.content_type, again.message_id) == (
        message.body,
        message.content_type,
        message.message_id,
    )
    assert (again.type, again.source, again.correlation_id) == (message.type, message.source, message.correlation_id)
    assert again.time == message.time
    assert READERS.read(letter.queue, again).id == letter.message_id
