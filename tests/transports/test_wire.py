import asyncio
from importlib.metadata import version
from itertools import count

import pamqp.frame
import pytest
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.heartbeat import Heartbeat
from support.builders import a_topology, an_outgoing
from support.frames import UNDECODABLE

from shared.backends.rabbitmq import RabbitTransport
from shared.backends.rabbitmq.session import Session
from shared.backends.rabbitmq.wire import FrameReader, write

A_FRAME = pamqp.frame.marshal(ContentBody(b"hello"), 3)


def a_stream(*pieces: bytes) -> FrameReader:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(pieces))
    stream.feed_eof()
    return FrameReader(stream)


class Ear:
    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.heard: list[tuple[int, bytes]] = []

    def hear(self, kind: int, payload: bytes) -> bool:
        self.heard.append((kind, payload))
        return self.takes


def test_the_library_beneath_is_the_one_that_was_read():
    assert version("aiormq").startswith("7.2.")
    assert version("pamqp").startswith("4.")


async def test_frames_are_handed_over_whole_in_whatever_pieces_they_are_asked_for():
    reader = a_stream(A_FRAME, A_FRAME)

    pieces = [await reader.readexactly(count) for count in (1, 6, 6, 1, 6, 6)]

    assert b"".join(pieces) == A_FRAME + A_FRAME
    assert reader.at_eof()


async def test_a_frame_that_comes_in_drops_is_handed_over_whole():
    stream = asyncio.StreamReader()
    reader = FrameReader(stream)
    asked = asyncio.ensure_future(reader.readexactly(len(A_FRAME)))
    for number in range(len(A_FRAME)):
        await asyncio.sleep(0)
        stream.feed_data(A_FRAME[number : number + 1])

    assert await asked == A_FRAME


async def test_a_stream_that_ends_inside_a_frame_says_so():
    reader = a_stream(A_FRAME[:-2])

    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)


async def test_the_protocol_header_of_another_version_passes_through():
    assert await a_stream(b"AMQP\x00\x01\x00\x00").readexactly(8) == b"AMQP\x00\x01\x00\x00"


async def test_a_listener_gets_what_it_takes_and_the_library_the_rest():
    reader, ear, deaf = (
        a_stream(A_FRAME, pamqp.frame.marshal(ContentBody(b"on 4"), 4), A_FRAME),
        Ear(),
        Ear(takes=False),
    )
    reader.listen(3, ear)
    reader.listen(4, deaf)

    frame = await reader.readexactly(100)

    assert pamqp.frame.unmarshal(frame)[2].value == b"on 4"
    assert ear.heard == [(3, b"hello")]
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)
    assert ear.heard == [(3, b"hello"), (3, b"hello")]


async def test_a_frame_without_its_end_ends_the_connection():
    reader = a_stream(A_FRAME[:-1] + b"\x00")
    reader.listen(3, Ear())

    with pytest.raises(ConnectionError):
        await reader.readexactly(1)


async def test_while_a_listener_takes_everything_the_library_sees_that_the_connection_lives():
    stream = asyncio.StreamReader()
    stream.feed_data(A_FRAME * 2)
    reader = FrameReader(stream, clock=count(step=2.0).__next__)
    reader.listen(3, Ear())

    assert isinstance(pamqp.frame.unmarshal(await reader.readexactly(100))[2], Heartbeat)


@pytest.mark.broker
@pytest.mark.parametrize("header", UNDECODABLE.values(), ids=UNDECODABLE.keys())
async def test_a_hostile_header_ends_no_session(rabbitmq, header):
    url = rabbitmq.new_vhost()
    transport = RabbitTransport(url, name="wire")
    await transport.apply(a_topology())
    foreign = await Session.open(url, name="foreign", confirms=False)
    publish = pamqp.frame.marshal(spec.Basic.Publish(exchange="retry.return", routing_key="consumer.mail"), 1)

    await write(foreign.channel, publish + header + pamqp.frame.marshal(ContentBody(b"{}"), 1))

    async with transport.publisher() as publisher, transport.subscribe("consumer.mail", prefetch=10) as subscription:
        await publisher.publish([an_outgoing()])
        taken = []
        async with asyncio.timeout(5):
            while not any(each.message.type == "user.created" for each in taken):
                taken += await subscription.take(10)
        assert not subscription.ended
    await foreign.close()
