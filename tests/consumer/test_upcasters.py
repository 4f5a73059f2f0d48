"""Old versions are brought up to those that tasks take, from messages as they were recorded."""

from typing import Any, ClassVar

import pytest

from consumer_service.upcasters import MISFITS, UPCASTERS, Upcaster, Upcasting
from shared.contracts import Contract
from shared.envelope import STRUCTURED, EnvelopeReader
from shared.errors import EnvelopeError, InvalidEnvelope, UnsupportedVersion, UpcastFailed
from shared.transport import Message


class Moved(Contract):
    """The third version: the address is in parts."""

    wire_type: ClassVar[str] = "person.moved.v3"

    street: str
    town: str
    country: str

    @property
    def subject(self) -> str:
        return self.town


def split(data: dict[str, Any]) -> dict[str, Any]:
    street, town = data.pop("address").split(", ")
    return data | {"street": street, "town": town}


TO_V2 = Upcaster("person.moved", "person.moved.v2", split)
TO_V3 = Upcaster("person.moved.v2", "person.moved.v3", lambda data: {"country": "IT", **data})
STEPS = (TO_V2, TO_V3)
READER = EnvelopeReader([Moved], Upcasting(STEPS, [Moved.wire_type]))

RECORDED = b"""{"specversion":"1.0","id":"m-1","source":"/tidings/producer","type":"person.moved","subject":"Rome",
"time":"2026-01-02T03:04:05Z","dataschema":"urn:tidings:schema:person.moved:1","data":{"address":"Via Roma 1, Rome"}}"""
RECORDED_V2 = b"""{"specversion":"1.0","id":"m-2","source":"/tidings/producer","type":"person.moved.v2",
"subject":"Oslo","data":{"street":"Storgata 1","town":"Oslo","country":"NO","planet":"Earth"}}"""


def read(body, steps=STEPS):
    return EnvelopeReader([Moved], Upcasting(steps, [Moved.wire_type])).read(Message(body, content_type=STRUCTURED))


def test_the_first_version_goes_all_the_way_and_stays_the_same_message():
    envelope = read(RECORDED)

    assert envelope.data == Moved(street="Via Roma 1", town="Rome", country="IT")
    assert (envelope.id, envelope.type, envelope.subject) == ("m-1", "person.moved.v3", "Rome")


def test_a_later_version_goes_the_rest_of_the_way():
    assert read(RECORDED_V2).data == Moved(street="Storgata 1", town="Oslo", country="NO")


def test_attributes_in_headers_are_brought_up_as_well():
    headers = {"ce-specversion": "1.0", "ce-id": "m-3", "ce-source": "/x", "ce-type": "person.moved"}

    envelope = READER.read(
        Message(b'{"address": "Via Roma 1, Rome"}', content_type="application/json", headers=headers)
    )

    assert (envelope.id, envelope.data.town) == ("m-3", "Rome")


def test_a_type_with_a_task_of_its_own_goes_no_further():
    ways = Upcasting(STEPS, ["person.moved.v2", "person.moved.v3"])

    assert ways("person.moved.v2", {"town": "Oslo"}) == ("person.moved.v2", {"town": "Oslo"})
    assert ways("person.moved", {"address": "a, b"})[0] == "person.moved.v2"
    assert (ways.older("person.moved.v2"), ways.older("person.moved.v3")) == (("person.moved",), ())


def test_a_way_that_ends_nowhere_is_no_way():
    with pytest.raises(UnsupportedVersion, match=r"person\.moved'"):
        read(RECORDED, (TO_V2,))


def misfit(error):
    def change(_data: dict[str, Any]) -> dict[str, Any]:
        raise error

    return change


@pytest.mark.parametrize("error", [kind("ann@example.org") for kind in MISFITS], ids=lambda error: type(error).__name__)
def test_an_upcaster_that_raises_is_the_reason_and_no_value_is_quoted(error):
    with pytest.raises(UpcastFailed) as raised:
        read(RECORDED, (Upcaster("person.moved", "person.moved.v3", misfit(error)),))

    assert raised.value.reason == "upcast_failed"
    assert str(raised.value) == f"person.moved to person.moved.v3: {type(error).__name__}"


@pytest.mark.parametrize("found", [None, 7, "ab", [1]])
def test_an_upcaster_that_returns_no_object_has_failed(found):
    with pytest.raises(UpcastFailed):
        read(RECORDED, (Upcaster("person.moved", "person.moved.v3", lambda _data: found),))


def test_what_comes_out_is_validated_like_anything_else():
    with pytest.raises(InvalidEnvelope, match=r"^data\.town: Field required"):
        read(RECORDED, (Upcaster("person.moved", "person.moved.v3", lambda _data: {"street": "", "country": ""}),))


@pytest.mark.parametrize("data", [b"null", b"[]", b'"text"', b"7"])
def test_what_is_no_object_reaches_no_upcaster(data):
    body = RECORDED.replace(b'{"address":"Via Roma 1, Rome"}', data)

    with pytest.raises(InvalidEnvelope, match=r"^data: "):
        read(body)


def test_a_message_without_data_is_refused_and_not_upcast():
    with pytest.raises(EnvelopeError, match=r"^data: "):
        read(b'{"specversion":"1.0","id":"m","source":"/x","type":"person.moved"}')


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((TO_V2, Upcaster("person.moved", "person.moved.v3", dict)), "two upcasters lead from person.moved;"),
        ((TO_V2, Upcaster("person.moved.v2", "person.moved", dict)), "lead in a circle"),
    ],
)
def test_ways_that_fork_or_turn_back_are_refused_at_the_start(steps, said):
    with pytest.raises(ValueError, match=said):
        Upcasting(steps, [Moved.wire_type])


@pytest.mark.parametrize(("old", "new"), [("a.b", "a.b"), ("A.b", "a.b.v2"), ("a.b", "no type")])
def test_a_step_that_leads_nowhere_is_refused_when_it_is_written(old, new):
    with pytest.raises(ValueError, match="from one wire type to another"):
        Upcaster(old, new, dict)


def test_what_is_in_production_makes_sense():
    assert Upcasting(UPCASTERS, []).older("user.created") == ()
