"""The envelope reader, against whatever may be written and against whatever may arrive."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.contracts import ENVELOPES

from shared.commands import COMMANDS
from shared.envelope import STRUCTURED, EnvelopeReader, encode, schema_uri
from shared.errors import EnvelopeError
from shared.events import EVENTS
from shared.transport import Message

pytestmark = pytest.mark.slow

READER = EnvelopeReader([*EVENTS, *COMMANDS])
CANARY = "canary"
LONGEST_REASON = 1000

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FINITE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
FIELD_TABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
"""What an AMQP header may hold."""

ATTRIBUTES = st.sampled_from(
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "correlationid", "traceparent"]
)
HEADER_NAMES = st.builds("".join, st.tuples(st.sampled_from(["ce-", "cloudEvents_", "cloudEvents:", ""]), ATTRIBUTES))
CONTENT_TYPES = st.none() | st.text() | st.sampled_from([STRUCTURED, "application/json", "application/JSON;charset=x"])


def answer_to(message):
    """Return what was read, or the reason why nothing was. Anything else that is raised fails the test."""
    try:
        return READER.read(message)
    except EnvelopeError as error:
        return error if error.reason and len(str(error)) <= LONGEST_REASON else None


@st.composite
def damaged(draw):
    """Bytes of a valid envelope, some of which were lost, changed or repeated on the way."""
    body = bytearray(encode(draw(ENVELOPES)))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(body)))
        end = draw(st.integers(begin, min(begin + 8, len(body))))
        body[begin:end] = draw(st.binary(max_size=8) | st.just(bytes(body[begin:end]) * 2))
    return bytes(body)


@given(ENVELOPES)
def test_whatever_may_be_written_reads_the_same(envelope):
    assert READER.read(Message(encode(envelope), content_type=STRUCTURED)) == envelope


@given(ENVELOPES)
def test_attributes_in_headers_read_the_same_as_attributes_in_the_body(envelope):
    whole = json.loads(encode(envelope))
    headers = {f"ce-{name}": value for name, value in whole.items() if name not in {"data", "datacontenttype"}}

    message = Message(json.dumps(whole["data"]).encode(), content_type="application/json", headers=headers)

    assert READER.read(message) == envelope


@given(body=st.binary(max_size=500), content_type=CONTENT_TYPES)
@example(body=b"[" * 100_000, content_type=STRUCTURED)
@example(body=b"\xff\xfe{}", content_type=STRUCTURED)
def test_any_bytes_are_read_or_refused_with_a_reason(body, content_type):
    assert answer_to(Message(body, content_type=content_type))


@given(body=damaged(), content_type=CONTENT_TYPES)
def test_a_damaged_envelope_is_read_or_refused_with_a_reason(body, content_type):
    assert answer_to(Message(body, content_type=content_type))


@given(changes=st.dictionaries(ATTRIBUTES | st.just("data") | st.text(), JSON, max_size=5), envelope=ENVELOPES)
def test_an_envelope_with_any_values_in_it_is_read_or_refused_with_a_reason(changes, envelope):
    body = json.dumps(json.loads(encode(envelope)) | changes).encode()

    assert answer_to(Message(body, content_type=STRUCTURED))


@given(body=JSON.map(json.dumps), headers=st.dictionaries(HEADER_NAMES, FIELD_TABLE, max_size=9), kind=CONTENT_TYPES)
def test_any_headers_are_read_or_refused_with_a_reason(body, headers, kind):
    headers = {"ce-specversion": "1.0", "ce-type": "user.created", **headers}

    assert answer_to(Message(body.encode(), content_type=kind, headers=headers))


@given(field=ATTRIBUTES.filter(lambda name: name != "type") | st.just("data"), value=JSON, envelope=ENVELOPES)
def test_what_is_refused_quotes_no_value(field, value, envelope):
    bad = {CANARY: CANARY, "more": [CANARY, value]}
    body = json.dumps(json.loads(encode(envelope)) | {field: bad}).encode()

    answer = answer_to(Message(body, content_type=STRUCTURED))

    assert isinstance(answer, EnvelopeError)
    assert CANARY not in str(answer)


@given(ENVELOPES, st.dictionaries(st.text(), FINITE | st.lists(FINITE), max_size=5))
def test_what_a_newer_writer_adds_changes_nothing(envelope, additions):
    whole = json.loads(encode(envelope))
    newer = additions | whole | {"data": additions | whole["data"]}

    assert answer_to(Message(json.dumps(newer).encode(), content_type=STRUCTURED)) == envelope


@given(st.integers(1, 10_000), ENVELOPES)
def test_another_version_of_a_known_type_is_told_from_a_type_nobody_knows(version, envelope):
    whole = json.loads(encode(envelope)) | {"type": f"{envelope.type}.v{version}"}

    answer = answer_to(Message(json.dumps(whole).encode(), content_type=STRUCTURED))

    assert getattr(answer, "reason", "") == "unsupported_version"
    assert schema_uri(whole["type"]) == f"urn:tidings:schema:{envelope.type}:{version}"
