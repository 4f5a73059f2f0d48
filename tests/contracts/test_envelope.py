import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event, to_binary_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import a_message, a_user_created, an_envelope

from shared.commands import COMMANDS
from shared.envelope import STRUCTURED, EnvelopeReader, enclose, encode
from shared.errors import (
    EnvelopeError,
    InvalidEnvelope,
    MalformedEnvelope,
    OversizedMessage,
    UnknownType,
    UnsupportedVersion,
)
from shared.events import EVENTS
from shared.transport import LARGEST_BODY, Message

READER = EnvelopeReader([*EVENTS, *COMMANDS])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ATTRIBUTE_HEADERS = st.sampled_from(["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time"])
HEADER_VALUES = st.none() | st.text(max_size=20) | st.binary(max_size=20) | st.integers() | st.booleans() | st.floats()


def answer_to(message):
    """What became of it: what was read, or the reason why not. Anything else that is raised fails the test."""
    try:
        return READER.read(message)
    except EnvelopeError as error:
        return error.reason and str(error)


def a_body(**changes):
    whole = json.loads(encode(an_envelope()))
    return json.dumps({name: value for name, value in (whole | changes).items() if value is not ...}).encode()


def test_what_was_written_reads_the_same():
    envelope = an_envelope(causation_id="cause", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")

    assert READER.read(a_message(envelope)) == envelope


def test_a_new_envelope_has_an_id_of_its_own_which_is_also_its_correlation():
    first, second = (enclose(a_user_created(), source="/x") for _ in range(2))

    assert first.id < second.id
    assert first.correlation_id == first.id


def test_the_official_sdk_reads_what_we_write():
    envelope = an_envelope()

    written = RabbitMQMessage(headers={}, content_type=STRUCTURED, body=encode(envelope))
    oracle = from_rabbitmq_event(written, JSONFormat())

    assert (oracle.get_id(), oracle.get_type(), oracle.get_source()) == (envelope.id, "user.created", envelope.source)
    assert oracle.get_time() == envelope.time
    assert oracle.get_data() == json.loads(envelope.data.model_dump_json())
    assert oracle.get_extension("correlationid") == "c-1"


def test_we_read_what_the_official_sdk_writes_in_binary_mode():
    data = json.loads(a_user_created().model_dump_json())
    attributes = {"id": "e-1", "source": "/node", "type": "user.created", "time": datetime(2026, 1, 2, tzinfo=UTC)}
    event = CloudEvent({**attributes, "specversion": "1.0", "datacontenttype": "application/json"}, data)

    written = to_binary_event(event, JSONFormat())
    read = READER.read(Message(written.body, content_type=written.content_type, headers=written.headers))

    assert (read.id, read.source, read.time, read.data) == ("e-1", "/node", attributes["time"], a_user_created())


@pytest.mark.parametrize("prefix", ["ce-", "cloudEvents_", "cloudEvents:"])
def test_attributes_are_read_from_headers_of_every_spelling_and_type(prefix):
    attributes = {"specversion": b"1.0", "id": 7, "source": "/x", "type": "user.created"}
    headers = {prefix + name: value for name, value in attributes.items()}

    read = READER.read(Message(a_user_created().model_dump_json().encode(), "application/json", headers=headers))

    assert read.id == "7"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[1]", b'"text"', b"NaN", b'{"a":NaN}', b"[" * 100_000, b'{"id":"\\ud800"}', b"1" * 5000],
    ids=["empty", "cut", "not utf-8", "array", "string", "nan", "nan inside", "deep", "lone surrogate", "huge number"],
)
def test_what_is_not_a_json_object_is_malformed(body):
    with pytest.raises(MalformedEnvelope):
        READER.read(Message(body, content_type=STRUCTURED))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"id": ...}, "id"),
        ({"id": ""}, "id"),
        ({"id": "a\x00b"}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"source": ...}, "source"),
        ({"specversion": "0.3"}, "specversion"),
        ({"type": 7}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-01-01T00:00:00"}, "time"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"data": ...}, "data"),
        ({"data": {"email": "ann@example.org"}}, "data.user_id"),
    ],
)
def test_what_is_no_cloudevent_of_ours_is_invalid_and_the_field_is_named(changes, names):
    with pytest.raises(InvalidEnvelope, match=f"^{names}: "):
        READER.read(Message(a_body(**changes), content_type=STRUCTURED))


def test_an_error_never_quotes_the_value():
    with pytest.raises(InvalidEnvelope) as raised:
        READER.read(Message(a_body(data={"user_id": "canary-secret"}), content_type=STRUCTURED))

    assert "canary" not in str(raised.value)


def test_a_type_nobody_knows_is_told_from_a_version_nobody_knows():
    with pytest.raises(UnknownType, match=r"order\.placed"):
        READER.read(Message(a_body(type="order.placed"), content_type=STRUCTURED))
    with pytest.raises(UnsupportedVersion, match=r"user\.created\.v9"):
        READER.read(Message(a_body(type="user.created.v9"), content_type=STRUCTURED))


def test_an_oversized_body_is_refused_before_it_is_parsed():
    with pytest.raises(OversizedMessage, match="262145 bytes"):
        READER.read(Message(b"{" * (LARGEST_BODY + 1), content_type=STRUCTURED))


def test_a_foreign_content_type_is_invalid():
    with pytest.raises(InvalidEnvelope, match="image/png"):
        READER.read(Message(a_body(), content_type="image/png"))


def test_a_structured_event_without_a_content_type_is_read():
    assert READER.read(Message(a_body())).type == "user.created"


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=300),
    st.one_of(st.none(), st.text(max_size=30), st.just(STRUCTURED), st.just("application/json")),
    st.dictionaries(st.text(max_size=20) | ATTRIBUTE_HEADERS, HEADER_VALUES, max_size=6),
)
def test_whatever_arrives_is_read_or_refused_with_a_reason(body, content_type, headers):
    assert answer_to(Message(body, content_type=content_type, headers=headers))


@pytest.mark.slow
@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from([*json.loads(a_body())]), ANY_JSON))
def test_an_event_with_any_fields_replaced_is_read_or_refused_with_a_reason(changes):
    assert answer_to(Message(a_body(**changes), content_type=STRUCTURED))


def test_a_door_may_forbid_what_a_reader_ignores_and_hears_of_every_field_that_is_wrong():
    whole = json.loads(encode(an_envelope()))
    del whole["dataschema"]
    wrong = whole | {"data": whole["data"] | {"nmae": "Ann", "email": "ann"}}

    assert READER.read_attributes(whole, unknown="forbid") == READER.read_attributes(whole)
    with pytest.raises(InvalidEnvelope) as caught:
        READER.read_attributes(wrong, unknown="forbid")
    assert {(each.location, each.rule) for each in caught.value.problems} == {
        (("data", "email"), "string_pattern_mismatch"),
        (("data", "nmae"), "extra_forbidden"),
    }
