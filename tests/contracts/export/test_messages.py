"""Messages as components: whole CloudEvents, whose schemas stand beside each other."""

import json
from typing import ClassVar

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from deploy.contracts.messages import components, envelope_of
from deploy.contracts.schemas import CONTRACTS
from shared.contracts import Contract
from shared.envelope import EnvelopeReader
from shared.transport import Message

PARTS = components(CONTRACTS)


def whole(payload):
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": PARTS, **payload}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.wire_type)
def test_the_example_is_a_whole_message_that_fits_its_schema_and_is_read(contract):
    message = PARTS["messages"][contract.wire_type]
    (example,) = message["examples"]

    Draft202012Validator(whole(message["payload"])).validate(example["payload"])
    read = EnvelopeReader([contract]).read(Message(json.dumps(example["payload"]).encode()))
    assert read.type == message["name"] == message["bindings"]["amqp"]["messageType"]


def test_the_example_of_another_type_does_not_fit():
    payload = PARTS["messages"]["user.created"]["payload"]

    assert not Draft202012Validator(whole(payload)).is_valid(envelope_of(CONTRACTS[1]))


def test_no_schema_names_a_document_of_its_own_in_here():
    assert not any({"$id", "$schema", "$defs"} & schema.keys() for schema in PARTS["schemas"].values())


class Place(BaseModel):
    town: str = "Rome"


class Moved(Contract):
    wire_type: ClassVar[str] = "person.moved"
    places: list[Place] = Field(examples=[[{"town": "Rome"}]])

    @property
    def subject(self) -> str:
        return "p"


def test_what_a_contract_is_made_of_stands_beside_it():
    parts = components([Moved])

    assert parts["schemas"]["Moved"]["properties"]["places"]["items"] == {"$ref": "#/components/schemas/Place"}
    assert parts["schemas"]["Place"]["properties"]["town"]["type"] == "string"


def test_two_schemas_of_one_name_are_refused():
    class Place(BaseModel):
        height: int = 3

    class Climbed(Contract):
        wire_type: ClassVar[str] = "person.climbed"
        place: Place = Field(examples=[{"height": 3}])

        @property
        def subject(self) -> str:
            return "p"

    with pytest.raises(ValueError, match=r"person\.climbed: two different schemas are called Place"):
        components([Moved, Climbed])
