import pytest
from support.builders import an_envelope
from support.dead_letters import BUSY, READERS, a_dead_message, buried, claimed
from support.inboxes import an_assignment, done

from consumer_service.claim import Remembered, Status
from consumer_service.dead_letters.standing import Standing
from consumer_service.dead_letters.watching import Present, Result, look, tell
from consumer_service.inbox import Finish
from consumer_service.lifecycle import State
from shared.transport import Message


@pytest.fixture
async def sent(engine):
    (letter,) = await claimed(engine, *await buried(engine, a_dead_message()))
    return letter


def standing(status, *, replays=1, error=None):
    return Standing(Remembered(b"", status, "this", 1, replays, None, None), error)


def present(state=State.REPLAYED, replays=1, fingerprint=""):
    return Present(state, replays, fingerprint)


def test_done_is_done_also_when_it_was_done_before(sent):
    assert tell(sent, present(), standing(Status.DONE, replays=0)) is Result.DONE


def test_a_death_of_the_same_thing_has_come_back_and_another_has_not(sent):
    again = present(State.WAITING, 1, sent.fingerprint)
    otherwise = present(State.WAITING, 1, "another")

    assert (tell(sent, again, None), tell(sent, otherwise, None)) == (Result.CAME_BACK, Result.DIED)


@pytest.mark.parametrize("status", [Status.WAITING, Status.DEAD])
def test_a_first_attempt_that_fails_as_before_is_enough_to_know(sent, status):
    assert tell(sent, present(), standing(status, error=BUSY)) is Result.CAME_BACK


@pytest.mark.parametrize(
    "row",
    [
        None,
        standing(Status.STARTED),
        standing(Status.WAITING, error="KeyError at mail.py:7"),
        standing(Status.WAITING, replays=0, error=BUSY),
        standing(Status.DEAD, replays=0, error=BUSY),
    ],
    ids=["unknown to the inbox", "being worked on", "failed of something else", "failed before", "died before"],
)
def test_anything_else_is_not_finished(sent, row):
    assert tell(sent, present(), row) is Result.TRYING


def test_what_is_gone_from_the_table_is_not_finished(sent):
    assert tell(sent, None, None) is Result.TRYING


async def test_a_look_asks_table_and_inbox(engine, inbox):
    finished, failed, died = (an_envelope() for _ in range(3))
    letters = await claimed(engine, *await buried(engine, *(a_dead_message(each) for each in (finished, failed, died))))
    assignments = [
        an_assignment(each, message=letter.message)
        for each, letter in zip((finished, failed), letters[:2], strict=True)
    ]
    await inbox.start(assignments)
    await inbox.finish([*done(assignments[0]), Finish(assignments[1], Status.WAITING, BUSY)])
    await buried(engine, a_dead_message(died, replays=1, error="KeyError at mail.py:7"))

    results = await look(engine, READERS, letters)

    assert list(results.values()) == [Result.DONE, Result.CAME_BACK, Result.DIED]


async def test_what_nobody_can_read_is_known_only_by_its_death(engine):
    (letter,) = await claimed(engine, *await buried(engine, Message(b"{", message_id="m-1")))

    assert await look(engine, READERS, [letter]) == {letter.id: Result.TRYING}
