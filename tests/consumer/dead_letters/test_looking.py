from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import an_envelope
from support.dead_letters import MAIL, NOTIFICATION, a_dead_message, buried, put_in_state
from support.tasks import WelcomeTask

from consumer_service.dead_letters.looking import Filter, count, deaths, find, groups, identify
from consumer_service.lifecycle import State
from shared.events import UserEmailVerified

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


def an_hour_later(hours):
    return NOON + timedelta(hours=hours)


async def ids(engine, **wanted):
    return [letter.id for letter in await find(engine, Filter(**wanted))]


async def test_those_that_died_last_come_first_and_the_oldest_are_replayed_first(engine):
    early, late = await buried(engine, a_dead_message(died_at=NOON), a_dead_message(died_at=an_hour_later(1)))

    assert await ids(engine) == [late.id, early.id]
    assert await identify(engine, Filter()) == [early.id, late.id]


async def test_each_question_narrows_down_what_is_found(engine):
    here, other = await buried(
        engine,
        a_dead_message(died_at=NOON),
        a_dead_message(error="KeyError at mail.py:7", reason="permanent_failure", died_at=an_hour_later(2)),
    )
    (there,) = await buried(engine, a_dead_message(died_at=an_hour_later(1)), queue=NOTIFICATION)

    assert await ids(engine, queue=NOTIFICATION) == [there.id]
    assert await ids(engine, queue=MAIL, reason="retries_exhausted") == [here.id]
    assert await ids(engine, fingerprint=other.fingerprint) == [other.id]
    assert await ids(engine, type="user.deleted") == []
    assert await ids(engine, since=an_hour_later(1), until=an_hour_later(2)) == [there.id]
    assert await ids(engine, ids=(here.id, 999)) == [here.id]
    assert (await count(engine, Filter()), await count(engine, Filter(queue=MAIL))) == (3, 2)


async def test_only_what_needs_a_decision_is_found_unless_more_is_asked_for(engine):
    letters = await buried(engine, *(a_dead_message(died_at=NOON) for _ in State))
    for letter, state in zip(letters, State, strict=True):
        await put_in_state(engine, state, letter)

    assert {letter.state for letter in await find(engine, Filter())} == {State.WAITING, State.REPLAYING}
    assert len(await find(engine, Filter(states=frozenset(State)))) == len(State)


async def test_a_limit_is_kept(engine):
    await buried(engine, *(a_dead_message() for _ in range(3)))

    assert len(await find(engine, Filter(), limit=2)) == len(await identify(engine, Filter(), limit=2)) == 2


async def test_groups_are_by_queue_and_cause_and_the_largest_comes_first(engine):
    await buried(engine, a_dead_message(error="KeyError at mail.py:7"))
    same = [a_dead_message(died_at=NOON), a_dead_message(died_at=an_hour_later(1))]
    last = (await buried(engine, *same))[-1]
    await buried(engine, a_dead_message(), queue=NOTIFICATION)

    found = await groups(engine, Filter())

    assert [(group.queue, group.count) for group in found] == [(MAIL, 2), (MAIL, 1), (NOTIFICATION, 1)]
    assert (found[0].first_died_at, found[0].last_died_at) == (NOON, an_hour_later(1))
    assert (found[0].example, found[0].error, found[0].task) == (last.id, last.error, "RecordingTask")


async def test_a_group_says_how_many_types_it_holds(engine):
    verified = UserEmailVerified(user_id="01890000-0000-7000-8000-00000000000a", email="ann@example.org")
    kinds = (an_envelope(), an_envelope(verified))
    await buried(engine, *(a_dead_message(each, error="", reason="crash_loop", task="T") for each in kinds))

    (group,) = await groups(engine, Filter())

    assert (group.types, group.type) == (2, "user.created")
    assert WelcomeTask.takes is UserEmailVerified


async def test_the_deaths_of_one_are_told_in_order(engine):
    envelope = an_envelope()
    await buried(engine, a_dead_message(envelope, died_at=NOON))
    (letter,) = await buried(engine, a_dead_message(envelope, replays=1, died_at=an_hour_later(1)))

    assert [(death.died_at, death.replays) for death in await deaths(engine, letter.id)] == [
        (NOON, 0),
        (an_hour_later(1), 1),
    ]


@given(state=st.sampled_from(State))
def test_a_filter_by_state_alone_is_not_narrow(state):
    assert not Filter(states=frozenset({state})).is_narrow


@pytest.mark.parametrize("wanted", [Filter(ids=(1,)), Filter(queue=MAIL), Filter(since=NOON)])
def test_any_other_filter_is_narrow(wanted):
    assert wanted.is_narrow
