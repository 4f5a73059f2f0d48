import asyncio

from benchmarks.contenders.contract import Errand
from benchmarks.contenders.in_flight import IN_FLIGHT, at_pace, publish_all
from benchmarks.contenders.message import as_json
from support.waiting import eventually

from shared.transport import Message


async def test_at_a_pace_the_next_is_sent_although_the_ones_before_are_not_done():
    answer, begun = asyncio.Event(), []

    async def send() -> None:
        begun.append(1)
        await answer.wait()

    sending = asyncio.create_task(at_pace(1000, [send] * 5))
    await eventually(lambda: len(begun) == 5)

    assert not sending.done()
    answer.set()
    await sending


async def test_at_full_speed_no_more_are_in_flight_than_agreed_and_every_one_is_published(capsys):
    published: list[Message] = []
    flying = most = 0

    async def publish(message: Message) -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0)
        flying -= 1
        published.append(message)

    await publish_all(Errand("", "", 3 * IN_FLIGHT), as_json, publish)

    assert most == IN_FLIGHT
    assert len({message.message_id for message in published}) == 3 * IN_FLIGHT
    assert [line.split('"')[3] for line in capsys.readouterr().out.splitlines()] == ["first", "last"]
