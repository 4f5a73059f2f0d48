"""The gate: what was released is read, and what is written now is understood by those who were promised it."""

from typing import Annotated, ClassVar

import pytest
from pydantic import AfterValidator, Field
from support.repository import ROOT

from consumer_service.upcasters import UPCASTERS, Upcaster
from deploy.contracts.gate import Gate
from deploy.contracts.history import release, released
from deploy.contracts.schemas import CONTRACTS
from shared.contracts import Contract


class First(Contract):
    """Somebody ordered."""

    wire_type: ClassVar[str] = "order.placed"
    size: int = Field(le=9, description="How big.", examples=[1])

    @property
    def subject(self) -> str:
        return "o"


class Additive(First):
    colour: str = "red"


class Narrowed(First):
    size: int = Field(le=5, examples=[1])


def even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


class Choosy(First):
    size: Annotated[int, AfterValidator(even)] = Field(le=9, examples=[2])


class Second(First):
    wire_type: ClassVar[str] = "order.placed.v2"
    litres: int = Field(examples=[1])
    size: int = 0


UP = Upcaster("order.placed", "order.placed.v2", lambda data: {"litres": data["size"]})
WRONG = Upcaster("order.placed", "order.placed.v2", lambda data: {"litres": data["length"]})


@pytest.fixture
def promises(tmp_path):
    release(tmp_path, [First])
    return released(tmp_path)


def broken(promises, *contracts, upcasters=()):
    return list(Gate(contracts, upcasters).broken(promises))


def test_no_contract_of_today_breaks_what_was_released():
    promises = released(ROOT)

    assert list(Gate(CONTRACTS, UPCASTERS).broken(promises)) == []
    assert promises


def test_a_break_is_one_line_with_type_pointer_what_why_and_what_to_do(promises):
    (line,) = broken(promises, Narrowed)

    assert line == (
        "order.placed /properties/size/maximum: was 9, is 5; a recorded message may not fit any more (release 1.0). "
        "Leave it as it was, and add order.placed.v2 beside it"
    )


def test_what_adds_a_field_with_a_default_breaks_nothing(promises):
    assert broken(promises, Additive) == []


def test_a_form_counts_long_after_the_next_was_released(tmp_path, promises):
    release(tmp_path, [Additive])

    (line,) = broken(released(tmp_path), First)

    assert line.startswith("order.placed /properties/colour: was removed")
    assert "(release 1.1)" in line
    assert promises


def test_what_no_schema_shows_is_seen_by_reading_the_recorded_message(promises):
    (line,) = broken(promises, Choosy)

    assert line.startswith(
        "order.placed: a recorded message is not read any more: data.size: Value error, must be even"
    )


def test_a_type_that_is_gone_is_a_break(promises):
    (line,) = broken(promises)

    assert line.startswith("order.placed is gone (release 1.0); recorded messages of it could not be read. Keep the")


def test_a_type_that_is_gone_is_none_where_an_upcaster_brings_its_recorded_message_up(promises):
    assert broken(promises, Second, upcasters=[UP]) == []


def test_an_upcaster_that_cannot_bring_up_the_recorded_message_is_a_break(promises):
    (line,) = broken(promises, Second, upcasters=[WRONG])

    assert line == (
        "order.placed: a recorded message is not read any more: order.placed to order.placed.v2: KeyError (release 1.0)"
    )


def test_after_the_second_version_comes_the_third(tmp_path):
    release(tmp_path, [Second])

    class Narrow(Second):
        litres: int = Field(le=1, examples=[1])

    assert broken(released(tmp_path), Narrow)[0].endswith("add order.placed.v3 beside it")
