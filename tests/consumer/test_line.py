import asyncio
from contextlib import suppress

import pytest
from support.waiting import eventually

from consumer_service.line import Line


def a_line(*waiting):
    line = Line()
    for each in waiting:
        line.put(each)
    return line


async def test_takes_all_that_has_come_in_order():
    assert await a_line(1, 2, 3).take(10) == [1, 2, 3]


async def test_takes_no_more_than_it_was_asked_for():
    line = a_line(1, 2, 3)

    assert (await line.take(2), await line.take(2)) == ([1, 2], [3])


async def test_waits_for_the_first_and_does_not_linger_for_more():
    line = Line()
    taking = asyncio.create_task(line.take(10))
    await asyncio.sleep(0)

    line.put(1)

    assert await taking == [1]


async def test_clearing_waits_for_nothing():
    line = a_line(1, 2)

    assert (line.clear(), line.clear()) == ([1, 2], [])


async def test_one_who_gives_up_waiting_takes_nothing_along():
    line = Line()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await line.take(10)

    line.put(1)

    assert await line.take(10) == [1]


async def test_those_of_a_kind_go_together_as_far_as_they_stand_in_a_row():
    line = a_line(2, 4, 6, 1, 8)

    taken = [await line.take_alike(lambda number: number % 2 == 0, lambda _: 10) for _ in range(3)]

    assert taken == [[2, 4, 6], [1], [8]]


async def test_no_more_go_together_than_there_is_room_for():
    line = a_line(2, 4, 6)

    assert await line.take_alike(lambda _: "even", lambda _: 2) == [2, 4]


async def test_what_is_of_no_kind_goes_alone():
    line = a_line(1, 3)

    assert await line.take_alike(lambda _: None, lambda _: 10) == [1]


async def test_everything_that_is_put_is_taken_by_somebody_whoever_gives_up():
    line, taken = Line(), []

    async def take_for_ever():
        while True:
            taken.extend(await line.take(1))

    takers = [asyncio.create_task(take_for_ever()) for _ in range(5)]
    await asyncio.sleep(0)
    line.put(1, 2, 3)
    for taker in takers[:3]:
        taker.cancel()
    line.put(4)

    await eventually(lambda: len(taken) == 4, within=5)
    for taker in takers:
        taker.cancel()
    assert sorted(taken) == [1, 2, 3, 4]


async def test_one_whose_cancellation_was_swallowed_takes_nothing_more():
    line = a_line(1)

    async def work():
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return await line.take(10)

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working
    assert line.clear() == [1]
