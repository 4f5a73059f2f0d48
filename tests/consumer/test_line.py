import asyncio

import pytest

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
