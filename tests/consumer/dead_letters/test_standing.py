from support.inboxes import an_assignment, done, remembered, waiting

from consumer_service.claim import Status
from consumer_service.dead_letters.standing import AT_ONCE, standings
from consumer_service.dispatch import Key


async def test_the_inbox_is_read_and_nothing_in_it_is_changed(engine, inbox):
    finished, failed, never = (an_assignment() for _ in range(3))
    await inbox.start([finished, failed])
    await inbox.finish([*done(finished), *waiting(failed)])
    keys = [each.key for each in (finished, failed, never)]

    found = await standings(engine, keys)

    assert found[finished.key].remembered.status is Status.DONE
    assert (found[failed.key].remembered.status, found[failed.key].error) == (Status.WAITING, "later")
    assert never.key not in found
    assert {row.status for row in (await remembered(engine, finished.key), await remembered(engine, failed.key))} == {
        "done",
        "waiting",
    }


async def test_a_holder_that_is_alive_is_seen(engine, inbox):
    assignment = an_assignment()
    await inbox.start([assignment])

    assert (await standings(engine, [assignment.key]))[assignment.key].remembered.holder_is_alive


async def test_more_keys_than_one_question_holds_are_asked_for(engine, inbox):
    assignment = an_assignment()
    await inbox.start([assignment])
    others = [Key("T", str(number)) for number in range(AT_ONCE)]

    assert list(await standings(engine, [*others, assignment.key])) == [assignment.key]


async def test_nobody_is_asked_about_nothing(engine):
    assert await standings(engine, []) == {}
