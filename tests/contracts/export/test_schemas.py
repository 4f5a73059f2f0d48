"""The schemas agree with the classes: what the one lets through, the other reads."""

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import Field
from support import contracts
from support.json_schemas import fitting
from support.repository import ROOT

from deploy.contracts.history import released
from deploy.contracts.schemas import CONTRACTS, example_of, kind_of, schema_of, undocumented, version_of
from shared.contracts import Contract
from shared.events import Event, UserCreated

BY_TYPE = {contract.wire_type: contract for contract in CONTRACTS}
PROMISES = {promise.wire_type: promise.schema for promise in released(ROOT) if promise.wire_type in BY_TYPE}
MESSAGES = st.sampled_from(sorted(PROMISES)).flatmap(
    lambda wire_type: st.tuples(st.just(wire_type), fitting(PROMISES[wire_type]))
)


def validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


READERS = {wire_type: validator(schema) for wire_type, schema in PROMISES.items()}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.wire_type)
def test_a_schema_is_one_and_its_example_fits_both_it_and_the_class(contract):
    schema = schema_of(contract)

    Draft202012Validator.check_schema(schema)
    validator(schema).validate(example_of(contract))
    assert schema["examples"] == [example_of(contract)]
    assert json.loads(contract.model_validate(example_of(contract)).model_dump_json()) == example_of(contract)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.wire_type)
def test_everything_about_a_contract_is_documented(contract):
    assert list(undocumented(contract)) == []


@given(contracts.CONTRACTS.filter(lambda message: message.wire_type in PROMISES))
def test_what_is_written_today_fits_what_old_readers_were_promised(message):
    written = json.loads(message.model_dump_json())

    READERS[message.wire_type].validate(written)


@given(MESSAGES)
def test_what_old_writers_may_send_is_read_today(message):
    wire_type, written = message

    assert BY_TYPE[wire_type].model_validate_json(json.dumps(written))


def test_a_schema_is_read_in_the_order_in_which_people_read():
    schema = schema_of(UserCreated)

    assert [*schema][:5] == ["$schema", "$id", "title", "description", "type"]
    assert [*schema["properties"]] == ["user_id", "email", "name", "locale", "verification_id"]
    assert "title" not in schema["properties"]["email"]


def test_kind_and_version_come_from_the_class_and_the_type():
    assert {kind_of(contract) for contract in CONTRACTS} == {"event", "command"}
    assert (version_of("user.created"), version_of("user.created.v12")) == (1, 12)


class Bare(Event):
    wire_type: ClassVar[str] = "bare.thing"

    size: int
    colour: str = Field(default="red", description="The colour.")


def test_what_is_not_documented_is_said_with_what_to_do():
    assert list(undocumented(Bare)) == [
        "bare.thing: nobody owns it: add `owner: ClassVar[str]` to Bare",
        "bare.thing: Bare does not say what it means: add a docstring",
        "bare.thing: size does not say what it means: add Field(description=...)",
        "bare.thing: size has no example: add Field(examples=[...])",
    ]


def test_a_field_that_must_be_there_needs_an_example():
    with pytest.raises(ValueError, match=r"Bare\.size has no example"):
        example_of(Bare)


def test_an_example_that_does_not_fit_is_refused():
    class Liar(Contract):
        wire_type: ClassVar[str] = "liar.told"
        size: int = Field(examples=["big"])

    with pytest.raises(ValueError, match="size"):
        example_of(Liar)
    (said,) = [line for line in undocumented(Liar) if "does not fit" in line]
    assert said.startswith("liar.told: the example of size does not fit: Input should be a valid integer")
