import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.builders import a_user_created

from shared.contracts import Contract
from shared.events import EVENTS, Event, UserCreated

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.wire_type)
def test_every_recorded_event_still_reads_and_writes_the_same(event: type[Event]):
    recorded = json.loads((GOLDEN / f"{event.wire_type}.json").read_text())

    read = event.model_validate(recorded)

    assert json.loads(read.model_dump_json()) == recorded


def test_every_event_has_a_type_of_its_own():
    types = [event.wire_type for event in EVENTS]

    assert sorted(set(types)) == sorted(types)


def test_a_reader_ignores_fields_it_does_not_know():
    recorded = json.loads((GOLDEN / "user.created.json").read_text())

    read = UserCreated.model_validate({**recorded, "shoe_size": 43})

    assert not hasattr(read, "shoe_size")


def test_events_about_one_user_share_a_subject():
    first, second = a_user_created(name="Ann"), a_user_created(name="Anne")

    assert first.subject == second.subject == str(first.user_id)


@pytest.mark.parametrize(
    "address", ["no-at-sign", "two@@example.org", "ann@example.org\nBcc: x@y", "an n@x", "ann@x\x00"]
)
def test_an_address_that_could_break_out_of_a_mail_header_is_refused(address):
    with pytest.raises(ValidationError, match="email"):
        a_user_created(email=address)


@pytest.mark.parametrize(
    "wire_type", ["UserCreated", "user", "user.Created", "user..created", ".", "user." + "x" * 255]
)
def test_a_type_that_cannot_be_routed_is_refused_when_the_class_is_written(wire_type):
    with pytest.raises(TypeError, match="wire_type"):
        type("Bad", (Contract,), {"wire_type": wire_type, "__annotations__": {}})


@pytest.mark.slow
def test_importing_the_events_needs_nothing_but_pydantic():
    others = ("aio_pika", "sqlalchemy", "fastapi", "structlog")
    probe = f"import sys, shared.events; print([name for name in {others} if name in sys.modules])"

    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=30)

    assert answer.stdout.strip() == "[]"
