from support.dead_letters import ANN, a_dead_message, audited, buried

from consumer_service.dead_letters.audit import actions, note


async def test_an_entry_says_who_did_what_to_which_and_why(engine):
    (letter,) = await buried(engine, a_dead_message(replays=2))

    async with engine.begin() as connection:
        await note(connection, "discard", ANN, [letter], {"edited_to": 7})

    (action,) = await actions(engine, letter.id)
    assert (action.action, action.operator, action.why) == ("discard", "ann", "the server works again")
    assert action.details == {"edited_to": 7, "replays": 2}


async def test_an_entry_is_lost_with_the_transaction_of_what_was_not_done(engine):
    (letter,) = await buried(engine, a_dead_message())

    async with engine.connect() as connection:
        await note(connection, "discard", ANN, [letter])
        await connection.rollback()

    assert await audited(engine) == []


async def test_nothing_done_is_nothing_noted(engine):
    async with engine.begin() as connection:
        await note(connection, "discard", ANN, [])

    assert await audited(engine) == []
