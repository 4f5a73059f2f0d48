"""What was ever said is still understood: messages as we wrote them, and as others may write them."""

import json
from pathlib import Path

import pytest
from support.repository import ROOT

from consumer_service.upcasters import UPCASTERS, Upcasting
from shared.commands import COMMANDS
from shared.contracts import Contract
from shared.envelope import EnvelopeReader, encode
from shared.events import EVENTS
from shared.transport import Message

CONTRACTS = (*EVENTS, *COMMANDS)
GOLDEN = Path(__file__).parent / "golden"
WRITTEN = sorted((ROOT / "contracts" / "released").glob("*/*.message.json"))
FOREIGN = sorted((GOLDEN / "foreign").glob("*.json"))
READER = EnvelopeReader(CONTRACTS, Upcasting(UPCASTERS, [contract.wire_type for contract in CONTRACTS]))


def named(path):
    return f"{path.parent.name} {path.stem}" if isinstance(path, Path) else path.wire_type


@pytest.mark.parametrize("recorded", [*WRITTEN, *FOREIGN], ids=named)
def test_every_message_that_was_ever_recorded_is_read(recorded):
    body = recorded.read_bytes()

    read = READER.read(Message(body, content_type="application/cloudevents+json"))

    assert read.id == json.loads(body)["id"]


@pytest.mark.parametrize("recorded", WRITTEN, ids=named)
def test_a_message_is_still_written_with_all_that_was_ever_in_it(recorded):
    before = json.loads(recorded.read_bytes())

    after = json.loads(encode(READER.read(Message(recorded.read_bytes()))))

    if after["type"] == before["type"]:
        assert {**before, "data": None}.items() <= {**after, "data": None}.items()
        assert {name: after["data"][name] for name in before["data"]} == before["data"]


@pytest.mark.parametrize("contract", CONTRACTS, ids=named)
def test_the_data_of_every_type_was_recorded_and_is_written_the_same(contract):
    recorded = json.loads((GOLDEN / f"{contract.wire_type}.json").read_text())

    assert json.loads(contract.model_validate(recorded).model_dump_json()) == recorded


@pytest.mark.parametrize("step", UPCASTERS, ids=lambda step: step.old)
def test_a_message_of_every_old_type_was_recorded(step):
    assert step.old in {path.parent.name for path in WRITTEN}


@pytest.mark.parametrize("contract", CONTRACTS, ids=named)
def test_what_may_come_into_a_header_is_named_by_fields_that_there_are(contract):
    assert {path[0] for path in contract.in_headers} <= contract.model_fields.keys()
    assert {"email", "name", "to"} & contract.model_fields.keys() <= {path[0] for path in contract.in_headers}


def test_a_contract_says_what_its_subject_is():
    with pytest.raises(NotImplementedError, match="Contract must say what its subject is"):
        _ = Contract().subject
