import asyncio
from importlib.metadata import version

import pamqp.frame
import pytest
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from support.builders import a_message, a_topology, an_outgoing

from shared.backends.rabbitmq import RabbitTransport
from shared.backends.rabbitmq.session import Session
from shared.backends.rabbitmq.wire import MOST_HEADERS, Batch, FrameReader, _write, read_message, send_batch
from shared.transport import Fate, Message, Receipt


class Delivered:
    def __init__(self, **properties):
        self.header = ContentHeader(properties=spec.Basic.Properties(**properties))
        self.body = b"{}"


def a_stream(*frames: bytes) -> FrameReader:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(frames))
    stream.feed_eof()
    return FrameReader(stream)


def a_header(properties: bytes, flags: int, size: int = 2) -> bytes:
    payload = b"\x00\x3c\x00\x00" + size.to_bytes(8, "big") + flags.to_bytes(2, "big") + properties
    return b"\x02\x00\x01" + len(payload).to_bytes(4, "big") + payload + b"\xce"


def a_nested_table(depth: int) -> bytes:
    table = b"\x00\x00\x00\x00"
    for _ in range(depth):
        table = (len(table) + 3).to_bytes(4, "big") + b"\x01aF" + table
    return table


UNDECODABLE = {
    "a timestamp beyond the calendar": a_header(b"\xff" * 8, 64),
    "a type that is not utf-8": a_header(b"\x02\xff\xfe", 32),
    "a header table of an unknown kind": a_header(b"\x00\x00\x00\x04\x01a?\x00", 8192),
    "a table that claims more than there is": a_header(b"\x00\x00\xff\xff\x01a", 8192),
    "a table nested deeper than the stack": a_header(a_nested_table(3000), 8192),
}


def test_the_library_beneath_is_the_one_that_was_read():
    assert version("aiormq").startswith("7.2.")
    assert version("pamqp").startswith("4.")


async def test_frames_are_handed_over_whole_in_whatever_pieces_they_are_asked_for():
    frame = pamqp.frame.marshal(ContentBody(b"hello"), 3)
    reader = a_stream(frame, frame)

    pieces = [await reader.readexactly(count) for count in (1, 6, 6, 1, 6, 6)]

    assert b"".join(pieces) == frame + frame
    assert reader.at_eof()


async def test_a_stream_that_ends_inside_a_frame_says_so():
    reader = a_stream(pamqp.frame.marshal(ContentBody(b"hello"), 3)[:-2])

    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)


async def test_the_protocol_header_of_another_version_passes_through():
    assert await a_stream(b"AMQP\x00\x01\x00\x00").readexactly(8) == b"AMQP\x00\x01\x00\x00"


@pytest.mark.parametrize("frame", UNDECODABLE.values(), ids=UNDECODABLE.keys())
async def test_a_header_that_cannot_be_decoded_arrives_bare_with_its_body_size(frame):
    whole = await a_stream(frame).readexactly(1000)

    _, channel, header = pamqp.frame.unmarshal(whole)

    assert (channel, header.body_size, header.properties.timestamp) == (1, 2, None)


def test_the_brokers_own_headers_are_not_carried_on():
    headers = {"x-death": [{"count": 1}], "x-first-death-queue": "q", "x-delivery-count": 3, "CC": ["x"], "mine": "yes"}

    assert read_message(Delivered(headers=headers)).headers == {"mine": "yes"}


def test_of_a_thousand_headers_those_that_count_are_kept():
    headers = {f"h{number}": number for number in range(1000)} | {"ce-id": "7", "tidings-attempt": 4}

    message = read_message(Delivered(headers=headers))

    assert len(message.headers) == MOST_HEADERS
    assert (message.headers["ce-id"], message.attempt) == ("7", 4)


def test_text_that_is_not_utf8_is_kept_in_a_form_that_can_be_written_again():
    headers = {"name": b"caf\xe9", "list": [b"\xff", 1], "table": {"inner": b"\xff"}}

    kept = read_message(Delivered(headers=headers)).headers

    assert kept == {"name": "caf\ufffd", "list": ["\ufffd", 1], "table": {"inner": "\ufffd"}}
    assert ContentHeader(properties=spec.Basic.Properties(headers=kept)).marshal()


def test_a_header_nested_too_deep_is_cut_off():
    nested = []
    for _ in range(900):
        nested = [nested]

    kept = read_message(Delivered(headers={"deep": nested})).headers

    assert "nested too deep" in repr(kept["deep"])


def test_headers_that_would_fill_a_frame_are_dropped_and_small_ones_kept():
    headers = {"big": "x" * 130_000, "small": "y", "tidings-attempt": 3}

    assert read_message(Delivered(headers=headers)).headers == {"tidings-attempt": 3, "small": "y"}


@pytest.mark.parametrize("attempt", ["2", 0, -1, 10**9, True, None, b"\x02"])
def test_a_nonsensical_attempt_counts_as_the_first(attempt):
    assert Message(b"", headers={"tidings-attempt": attempt}).attempt == 1


async def test_the_first_answer_counts_and_the_last_one_completes_the_batch():
    batch = Batch([an_outgoing(), an_outgoing()])
    batch.answer(0, Receipt(Fate.UNROUTABLE))
    batch.answer(0, Receipt(Fate.CONFIRMED))
    assert not batch.answered.done()

    batch.give_up("gone")

    assert [receipt.fate for receipt in batch.receipts] == [Fate.UNROUTABLE, Fate.UNKNOWN]
    assert batch.answered.done()


@pytest.mark.broker
async def test_a_message_that_cannot_be_expressed_is_invalid_and_its_neighbours_are_published(rabbitmq):
    session = await Session.open(rabbitmq.new_vhost(), name="wire", confirms=True)
    messages = [an_outgoing(key="x" * 300), an_outgoing(a_message(headers={"no": object()})), an_outgoing(exchange="")]
    batch = Batch(messages)

    await send_batch(session.channel, messages, batch)
    await asyncio.wait_for(batch.answered, 5)

    assert [receipt.fate for receipt in batch.receipts] == [Fate.INVALID, Fate.INVALID, Fate.UNROUTABLE]
    assert not session.channel.confirmations
    assert not session.channel.message_id_delivery_tag
    await session.close()


@pytest.mark.broker
@pytest.mark.parametrize("header", UNDECODABLE.values(), ids=UNDECODABLE.keys())
async def test_a_hostile_header_ends_no_session(rabbitmq, header):
    url = rabbitmq.new_vhost()
    transport = RabbitTransport(url, name="wire")
    await transport.apply(a_topology())
    foreign = await Session.open(url, name="foreign", confirms=False)
    publish = pamqp.frame.marshal(spec.Basic.Publish(exchange="retry.return", routing_key="consumer.mail"), 1)

    await _write(foreign.channel, publish + header + pamqp.frame.marshal(ContentBody(b"{}"), 1))

    async with transport.publisher() as publisher, transport.subscribe("consumer.mail", prefetch=10) as subscription:
        await publisher.publish([an_outgoing()])
        taken = []
        async with asyncio.timeout(5):
            while not any(each.message.type == "user.created" for each in taken):
                taken += await subscription.take(10)
        assert not subscription.ended
    await foreign.close()
