import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.waiting import eventually

from producer_service.high_water import HighWater


@pytest.fixture
def refusals():
    return []


@pytest.fixture
def high_water(refusals):
    return HighWater(100, refused=lambda: refusals.append(1))


class Counting:
    """Counts as it is told, or fails; remembers how far it was asked to count."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, most):
        self.asked.append(most)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        return answer


@asynccontextmanager
async def watching(high_water, count):
    task = asyncio.create_task(high_water.watch(count, every=0.001, count_seconds=0.05))
    yield task
    task.cancel()
    await asyncio.wait({task})


def states(high_water, *counts):
    found = []
    for count in counts:
        high_water.observe(count)
        found.append(high_water.full)
    return found


def test_an_outbox_that_nobody_has_counted_is_not_full(high_water):
    assert not high_water.turn_away()


def test_it_is_full_above_the_mark_and_not_at_it(high_water):
    assert states(high_water, 99, 100, 101) == [False, False, True]


def test_once_full_it_stays_full_until_four_fifths(high_water):
    assert states(high_water, 101, 100, 81, 80, 81, 100) == [True, True, True, False, False, False]


def test_without_a_mark_it_is_never_full():
    assert states(HighWater(0, refused=list), 0, 10**9) == [False, False]


@given(mark=st.integers(1, 1000), counts=st.lists(st.integers(0, 1200), min_size=1))
def test_whatever_is_counted_it_never_refuses_below_four_fifths_nor_accepts_above_the_mark(mark, counts):
    high_water = HighWater(mark, refused=list)

    for count in counts:
        high_water.observe(count)

        assert high_water.full if count > mark else True
        assert not high_water.full if count <= 0.8 * mark else True


def test_every_refusal_is_counted(high_water, refusals):
    high_water.observe(101)

    assert [high_water.turn_away(), high_water.turn_away()] == [True, True]
    assert len(refusals) == 2


def test_becoming_full_and_accepting_again_are_said_once(high_water):
    with capture_logs() as logs:
        states(high_water, 101, 102, 103, 50, 40)

    assert [entry["event"] for entry in logs] == ["outbox.full", "outbox.accepts_again"]


async def test_it_counts_again_and_again_and_never_further_than_needed(high_water):
    count = Counting(0, 101)

    async with watching(high_water, count):
        await eventually(lambda: high_water.full)

    assert set(count.asked) == {101}


async def test_without_a_mark_nothing_is_ever_counted():
    count = Counting(0)

    async with watching(HighWater(0, refused=list), count) as task:
        await asyncio.wait({task})

    assert count.asked == []


@pytest.mark.parametrize("failure", [OSError("away"), None])
async def test_a_database_that_does_not_answer_changes_nothing_and_is_asked_again(high_water, failure):
    count = Counting(101, failure, failure, 50)

    with capture_logs() as logs:
        async with watching(high_water, count):
            await eventually(lambda: len(count.asked) > 4)

    said = [entry["event"] for entry in logs]
    assert said == ["outbox.full", "outbox.not_counted", "outbox.not_counted", "outbox.accepts_again"]
