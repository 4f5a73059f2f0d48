from datetime import UTC, datetime

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.header import ContentHeader
from support.builders import a_message, an_outgoing
from support.frames import UNDECODABLE, payload_of

from shared.backends.rabbitmq.frames import (
    read_deliver,
    read_header,
    read_settled,
    write_ack,
    write_publish,
    write_requeue,
)
from shared.transport import Message

SHORT = st.text(min_size=1, max_size=60)
MOMENT = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
PROPERTIES = {
    "content_type": SHORT,
    "content_encoding": SHORT,
    "headers": st.dictionaries(st.text(min_size=1, max_size=20), st.integers(0, 9) | SHORT, min_size=1, max_size=3),
    "delivery_mode": st.sampled_from([1, 2]),
    "priority": st.integers(0, 9),
    "correlation_id": SHORT,
    "reply_to": SHORT,
    "expiration": st.integers(0, 9).map(str),
    "message_id": SHORT,
    "timestamp": MOMENT,
    "message_type": SHORT,
    "user_id": SHORT,
    "app_id": SHORT,
}
TEXTS = {
    "content_type": SHORT,
    "type": SHORT,
    "source": SHORT,
    "correlation_id": SHORT,
    "time": MOMENT,
    "headers": PROPERTIES["headers"],
}


def frames_of(written: bytes):
    found = []
    while written:
        size, _, frame = pamqp.frame.unmarshal(written)
        found.append(frame)
        written = written[size:]
    return found


@given(st.fixed_dictionaries({}, optional=PROPERTIES), st.integers(0, 2**40))
def test_a_header_says_the_same_as_to_the_library(properties, size):
    header = ContentHeader(properties=spec.Basic.Properties(**properties), body_size=size)

    found_size, found = read_header(header.marshal())

    expected = {{"message_type": "type"}.get(name, name): value for name, value in properties.items()}
    assert (found_size, found) == (size, expected)


@given(st.binary(max_size=200))
def test_a_header_of_any_bytes_is_read_without_an_error(noise):
    read_header(b"\x00\x3c\x00\x00" + (7).to_bytes(8, "big") + noise.ljust(2, b"\0"))


@pytest.mark.parametrize("frame", UNDECODABLE.values(), ids=UNDECODABLE.keys())
def test_a_header_that_cannot_be_decoded_has_no_properties_and_keeps_its_size(frame):
    assert read_header(payload_of(frame)) == (2, {})


def test_milliseconds_are_told_from_seconds():
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    frame = b"\x00\x3c\x00\x00" + bytes(8) + (64).to_bytes(2, "big")
    frame += (int(moment.timestamp()) * 1000).to_bytes(8, "big")

    assert read_header(frame) == (0, {"timestamp": moment})


@given(st.integers(1, 2**63 - 1), st.booleans(), SHORT)
def test_a_delivery_says_the_same_as_to_the_library(tag, redelivered, consumer_tag):
    deliver = spec.Basic.Deliver(consumer_tag, tag, redelivered, "domain.events", "user.created")

    assert read_deliver(b"\x00\x3c\x00\x3c" + deliver.marshal()) == (tag, redelivered)


@given(st.integers(1, 2**63 - 1), st.booleans())
def test_an_answer_says_the_same_as_to_the_library(tag, multiple):
    for answer in (spec.Basic.Ack(tag, multiple), spec.Basic.Nack(tag, multiple, requeue=True)):
        assert read_settled(bytes(4) + answer.marshal()) == (tag, multiple)


@given(st.fixed_dictionaries({}, optional=TEXTS), st.binary(max_size=300))
def test_the_library_reads_what_is_published(fields, body):
    message = Message(body, **fields)

    publish, header, *bodies = frames_of(write_publish(3, an_outgoing(message), "id-1", largest=4096))

    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("domain.events", "user.created", True)
    assert b"".join(each.value for each in bodies) == body
    assert (header.body_size, header.properties.message_id, header.properties.delivery_mode) == (len(body), "id-1", 2)
    assert header.properties.headers == (fields.get("headers") or None)
    for ours, theirs in {"type": "message_type", "source": "app_id", "time": "timestamp"}.items():
        assert getattr(header.properties, theirs) == fields.get(ours)


def test_a_long_body_is_cut_into_frames_that_fit():
    message = a_message(body=b"x" * 700)

    _, _, *parts = frames_of(write_publish(1, an_outgoing(message), "id", largest=300))

    assert [len(each.value) for each in parts] == [300, 300, 100]


@pytest.mark.parametrize(
    "outgoing",
    [
        an_outgoing(key="x" * 256),
        an_outgoing(a_message(correlation_id="é" * 128)),
        an_outgoing(a_message(headers={"no": object()})),
        an_outgoing(a_message(headers={"big": "x" * 5000})),
    ],
    ids=["long key", "long id", "no such kind of header", "headers beyond a frame"],
)
def test_what_the_protocol_cannot_express_is_refused(outgoing):
    with pytest.raises((ValueError, TypeError)):
        write_publish(1, outgoing, "id", largest=4096)


def test_settling_is_what_the_library_would_write():
    assert write_ack(2, 7) == pamqp.frame.marshal(spec.Basic.Ack(7), 2)
    assert write_ack(2, 7, multiple=True) == pamqp.frame.marshal(spec.Basic.Ack(7, multiple=True), 2)
    assert write_requeue(2, 7) == pamqp.frame.marshal(spec.Basic.Nack(7, requeue=True), 2)
