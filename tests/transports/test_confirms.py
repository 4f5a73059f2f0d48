import asyncio

import pamqp.frame
import pytest
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from support.builders import a_message, an_outgoing
from support.frames import payload_of

from shared.backends.rabbitmq.confirms import Batch, Confirms
from shared.backends.rabbitmq.session import Session
from shared.transport import Fate, Receipt


class Channel:
    number = 1
    max_content_size = 4096

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.written = b""
        self.write_queue = self

    async def put(self, frame) -> None:
        self.written += frame.payload
        frame.drain()


async def sent(confirms: Confirms, *ids: str) -> Batch:
    messages = [an_outgoing(a_message(message_id=each)) for each in ids]
    batch = Batch(messages)
    await confirms.send(messages, batch)
    return batch


def hear(confirms: Confirms, *frames) -> list[bool]:
    written = [pamqp.frame.marshal(frame, 1) for frame in frames]
    return [confirms.hear(frame[0], payload_of(frame)) for frame in written]


def fates(batch: Batch) -> list[Fate | None]:
    return [receipt.fate if receipt else None for receipt in batch.receipts]


def returned(message_id: str):
    properties = spec.Basic.Properties(message_id=message_id)
    return [
        spec.Basic.Return(312, "NO_ROUTE", "e", "k"),
        ContentHeader(properties=properties, body_size=1),
        ContentBody(b"x"),
    ]


async def test_the_first_answer_counts_and_the_last_one_completes_the_batch():
    batch = Batch([an_outgoing(), an_outgoing()])
    batch.answer(0, Receipt(Fate.UNROUTABLE))
    batch.answer(0, Receipt(Fate.CONFIRMED))
    assert not batch.answered.done()

    batch.give_up("gone")

    assert fates(batch) == [Fate.UNROUTABLE, Fate.UNKNOWN]
    assert batch.answered.done()


async def test_one_answer_for_many_reaches_every_batch_it_covers():
    confirms = Confirms(Channel())
    first, second = await sent(confirms, "a", "b"), await sent(confirms, "c", "d")

    hear(confirms, spec.Basic.Ack(3, multiple=True))

    assert fates(first) == [Fate.CONFIRMED, Fate.CONFIRMED]
    assert fates(second) == [Fate.CONFIRMED, None]
    assert not second.answered.done()


async def test_answers_out_of_order_are_each_for_their_own_message():
    confirms = Confirms(Channel())
    batch = await sent(confirms, "a", "b", "c")

    hear(confirms, spec.Basic.Ack(3), spec.Basic.Nack(1), spec.Basic.Ack(3, multiple=True))

    assert fates(batch) == [Fate.REFUSED, Fate.CONFIRMED, Fate.CONFIRMED]


async def test_a_message_that_comes_back_is_unroutable_though_it_is_acked():
    confirms = Confirms(Channel())
    batch = await sent(confirms, "a", "b")

    taken = hear(confirms, *returned("b"), spec.Basic.Ack(2, multiple=True))

    assert all(taken)
    assert fates(batch) == [Fate.CONFIRMED, Fate.UNROUTABLE]


async def test_an_answer_to_what_was_never_sent_changes_nothing():
    confirms = Confirms(Channel())
    batch = await sent(confirms, "a")

    hear(confirms, spec.Basic.Ack(9), *returned("z"))
    hear(confirms, spec.Basic.Ack(2**62, multiple=True))

    assert fates(batch) == [Fate.CONFIRMED]


async def test_whatever_is_no_answer_is_left_to_the_library():
    confirms = Confirms(Channel())

    assert not any(hear(confirms, spec.Confirm.SelectOk(), spec.Channel.Close(404, "NOT_FOUND", 60, 40)))


@pytest.mark.broker
async def test_a_message_that_cannot_be_expressed_is_invalid_and_its_neighbours_are_published(rabbitmq):
    session = await Session.open(rabbitmq.new_vhost(), name="wire", confirms=True)
    confirms = Confirms(session.channel)
    session.listen(confirms)
    messages = [an_outgoing(key="x" * 300), an_outgoing(a_message(headers={"no": object()})), an_outgoing(exchange="")]
    batch = Batch(messages)

    await confirms.send(messages, batch)
    await asyncio.wait_for(batch.answered, 5)

    assert fates(batch) == [Fate.INVALID, Fate.INVALID, Fate.UNROUTABLE]
    await session.close()
