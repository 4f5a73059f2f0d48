import json
from datetime import timedelta

import pytest
from producer.ingestion.conftest import DATA, a_cloudevent, an_event

from producer_service.ingestion.offers import read_one
from producer_service.ingestion.reading import Reading
from producer_service.ingestion.refusals import Reason, Refused
from producer_service.ingestion.scopes import Scope
from producer_service.unit_of_work import Travel
from shared.commands import COMMANDS
from shared.envelope import EnvelopeReader
from shared.events import EVENTS

READER = EnvelopeReader([*EVENTS, *COMMANDS])
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def envelope_of(event, *, types=("user.*",), sources=("/shop", "/shop/*"), travel=None):
    scope, travel = Scope(types, sources), travel or Travel(correlation_id="c-1")
    reading = Reading(READER, scope=scope, travel=travel, longest_delay=timedelta(days=1))
    return reading.read(read_one(json.dumps(event).encode(), "application/json", {}))


def refusal_of(event, **options):
    with pytest.raises(Refused) as caught:
        envelope_of(event, **options)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("event", "location", "detail"),
    [
        (an_event(data={"email": "ann"}), ("data", "email"), "String should match pattern"),
        (an_event(data={"nmae": "Ann"}), ("data", "nmae"), "is no field of this type; leave it out"),
        (an_event(data={"user_id": None}), ("data", "user_id"), "UUID"),
        ({"type": "user.created"}, ("data",), "is required"),
        ({"data": DATA}, ("type",), "a CloudEvent needs one, as a string"),
        (an_event(type=7), ("type",), "a CloudEvent needs one, as a string"),
        (an_event(type="user.creatd"), ("type",), "the nearest are user.created"),
        (an_event(type=""), ("type",), "no contract has this type"),
        (an_event(type="x"), ("type",), "the nearest are user.created, user.email_verified"),
        (an_event(id="a/b"), ("id",), "letters, digits"),
        (an_event(id=""), ("id",), "pattern"),
        (an_event(id="x" * 256), ("id",), "at most 255"),
        (an_event(id="../x"), ("id",), "begin with a letter or digit"),
        (an_event(id=".."), ("id",), "begin with a letter or digit"),
        (an_event(source="/shop/\u00fc"), ("source",), "printable ASCII"),
        (an_event(source="/shop/" + "x" * 255), ("source",), "1 to 255"),
        (an_event(correlationid="\u00fc" * 255), ("correlationid",), "printable ASCII"),
        (an_event(source=None), ("source",), "valid string"),
        (an_event(subject="x" * 256), ("subject",), "1 to 255 characters"),
        (an_event(subject="a\0b"), ("subject",), "that can be printed"),
        (an_event(time="yesterday"), ("time",), "valid datetime"),
        (an_event(time="2026-11-22T10:00:00"), ("time",), "timezone"),
        (an_event(time="0001-01-01T00:00:00+14:00"), ("time",), "between the years 1970 and 9998"),
        (an_event(partitionkey="1"), ("partitionkey",), "is no attribute that is carried on; these are: id, source"),
        (an_event(dataschema="urn:mine"), ("dataschema",), "for this type it is urn:tidings:schema:user.created:1"),
        (an_event(data_base64="e30="), ("data_base64",), "is no attribute"),
        ([an_event()], (), "is a JSON object"),
        (a_cloudevent(specversion="0.3"), ("specversion",), "1.0"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(event, location, detail):
    refusal = refusal_of(event)

    assert refusal.reason is Reason.INVALID
    assert [error.location for error in refusal.errors if detail in error.detail] == [location]


@pytest.mark.parametrize(
    "broken",
    ["Ann\u2028Bcc: bob@example.org", "Ann\u0085", "=?utf-8?q?=0ABcc:_bob=40example.org?=", "Ann%0d%0aBcc:", "\u202e"],
)
def test_a_line_break_on_its_way_into_a_mails_header_is_refused_however_it_is_hidden(broken):
    name = refusal_of(an_event(data={"name": broken}))
    command = {"type": "mail.send", "data": {"to": "bob@example.org", "variables": {"subject": broken, "text": broken}}}
    subject = refusal_of(command, types=["mail.send"])
    address = refusal_of({**command, "data": {"to": f"{broken.replace(' ', '')}@example.org"}}, types=["mail.send"])

    assert [[error.location for error in each.errors] for each in (name, subject, address)] == [
        [("data", "name")],
        [("data", "variables", "subject")],
        [("data", "to")],
    ]


@pytest.mark.parametrize("subject", ["a\nb", "a\r\nBcc: bob@example.org", "a\0b"])
def test_a_subject_is_one_line_and_a_text_may_have_many(subject):
    data = {"to": "bob@example.org", "variables": {"subject": subject, "text": "One.\r\nTwo."}}

    refusal = refusal_of({"type": "mail.send", "data": data}, types=["mail.send"])

    assert [(error.location, error.detail) for error in refusal.errors] == [
        (("data", "variables", "subject"), "must be one line without control characters")
    ]
    data["variables"]["subject"] = "One line \u2014 \u4f60\u597d"
    assert envelope_of({"type": "mail.send", "data": data}, types=["mail.send"]).data.variables["text"].count("\n") == 1


@pytest.mark.parametrize("left_out", ["id", "source", "data", "type"])
def test_a_cloudevent_may_leave_out_nothing_that_it_needs(left_out):
    event = {name: value for name, value in a_cloudevent().items() if name != left_out}

    assert [error.location for error in refusal_of(event).errors] == [(left_out,)]


def test_the_short_form_speaks_for_the_first_whole_source_of_the_key():
    assert envelope_of(an_event(), sources=("/shop/*", "/till")).source == "/till"
    assert [error.location for error in refusal_of(an_event(), sources=("/shop/*",)).errors] == [("source",)]


def test_a_source_below_the_keys_may_be_named():
    assert envelope_of(an_event(source="/shop/7"), sources=("/shop/*",)).source == "/shop/7"
    assert refusal_of(an_event(source="/shopping"), sources=("/shop/*",)).reason is Reason.OUT_OF_SCOPE


def test_an_unknown_type_is_unknown_before_it_is_out_of_scope():
    assert refusal_of(an_event(type="order.placed")).reason is Reason.INVALID
    assert refusal_of(an_event(type="mail.send")).reason is Reason.OUT_OF_SCOPE


def test_what_an_event_says_of_its_journey_comes_before_what_its_request_says():
    travel = Travel(correlation_id="of the request", traceparent=TRACEPARENT)

    own = envelope_of(an_event(correlationid="its own", traceparent=f"00-{'1' * 32}-{'2' * 16}-01"), travel=travel)
    none = envelope_of(an_event(traceparent="nonsense"), travel=travel)

    assert (own.correlation_id, own.traceparent) == ("its own", f"00-{'1' * 32}-{'2' * 16}-01")
    assert (none.correlation_id, none.traceparent) == ("of the request", TRACEPARENT)


def test_what_is_known_and_not_carried_on_is_no_mistake():
    event = an_event(tracestate="a=b", dataschema="urn:tidings:schema:user.created:1")

    assert envelope_of(event).type == "user.created"
