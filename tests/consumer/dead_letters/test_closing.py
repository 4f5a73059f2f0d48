from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from support.dead_letters import (
    ANN,
    NOTIFICATION,
    a_dead_message,
    audited,
    buried,
    grown_old,
    put_in_state,
    the_letters,
)

from consumer_service.dead_letters.closing import AT_ONCE, STILL_TRIED, discard, purge, purgeable
from consumer_service.dead_letters.looking import deaths
from consumer_service.lifecycle import FINAL, State

A_WEEK = timedelta(days=7)


def ids(letters):
    return [letter.id for letter in letters]


async def test_what_is_discarded_stays_in_the_table_and_waits_no_more(engine):
    letters = await buried(engine, a_dead_message(), a_dead_message())

    with capture_logs() as lines:
        assert await discard(engine, ids(letters), ANN) == 2

    assert [(line["event"], line["count"], line["operator"]) for line in lines] == [
        ("dead_letters.discarded", 2, "ann")
    ]
    assert {letter.state for letter in await the_letters(engine)} == {State.DISCARDED}
    assert [(action, who) for action, who, _, _ in await audited(engine)] == [("discard", "ann")] * 2


@pytest.mark.parametrize("state", sorted(set(State) - {State.WAITING}))
async def test_only_what_waits_can_be_discarded(engine, state):
    (letter,) = await buried(engine, a_dead_message())
    await put_in_state(engine, state, letter)

    assert await discard(engine, [letter.id], ANN) == 0

    assert await audited(engine) == []


@pytest.mark.slow
async def test_more_than_one_transaction_can_hold_are_discarded(engine):
    letters = await buried(engine, *(a_dead_message() for _ in range(AT_ONCE + 1)))

    assert await discard(engine, ids(letters), ANN) == AT_ONCE + 1


@pytest.mark.parametrize("state", sorted(State))
async def test_only_what_was_decided_on_long_ago_can_be_purged(engine, state):
    old, young = await buried(engine, a_dead_message(), a_dead_message())
    await put_in_state(engine, state, old, young)
    await grown_old(engine, old, by=timedelta(days=8))

    assert await purgeable(engine, A_WEEK) == ([old.id] if state in FINAL else [])


async def test_what_was_replayed_is_kept_for_as_long_as_its_copy_may_be_tried(engine):
    young, old = await buried(engine, a_dead_message(), a_dead_message())
    await put_in_state(engine, State.REPLAYED, young, old)
    await grown_old(engine, young, by=STILL_TRIED - timedelta(hours=1))
    await grown_old(engine, old, by=STILL_TRIED + timedelta(hours=1))

    assert await purgeable(engine, timedelta(0)) == [old.id]


async def test_one_queue_alone_can_be_purged(engine):
    here = await buried(engine, a_dead_message())
    there = await buried(engine, a_dead_message(), queue=NOTIFICATION)
    await put_in_state(engine, State.DISCARDED, *here, *there)
    await grown_old(engine, *here, *there, by=timedelta(days=8))

    assert await purgeable(engine, A_WEEK, NOTIFICATION) == ids(there)


async def test_a_purge_deletes_bodies_and_deaths_and_leaves_the_audit(engine):
    (letter,) = await buried(engine, a_dead_message())
    await discard(engine, [letter.id], ANN)

    assert await purge(engine, [letter.id], ANN) == 1

    assert (await the_letters(engine), await deaths(engine, letter.id)) == ([], [])
    assert [action for action, *_ in await audited(engine)] == ["discard", "purge"]


async def test_what_came_back_before_the_purge_is_kept(engine):
    (letter,) = await buried(engine, a_dead_message())

    assert await purge(engine, [letter.id], ANN) == 0

    assert len(await the_letters(engine)) == 1


async def test_a_purged_number_is_never_given_to_another(engine):
    (letter,) = await buried(engine, a_dead_message())
    await discard(engine, [letter.id], ANN)
    await purge(engine, [letter.id], ANN)

    (another,) = await buried(engine, a_dead_message())

    assert another.id > letter.id
