import json

from producer_service.catalogue.shelf import Document, read_shelf
from shared.commands import COMMANDS
from shared.events import EVENTS


def test_every_message_has_a_schema_and_an_entry():
    shelf, types = read_shelf(), {contract.wire_type for contract in (*EVENTS, *COMMANDS)}

    assert shelf.schemas.keys() == {entry.type for entry in shelf.entries} == types
    assert json.loads(shelf.asyncapi.content)["asyncapi"] == "3.1.0"


def test_the_same_bytes_have_the_same_etag_and_others_have_another():
    one, same, other = (Document(content, "text/plain") for content in (b"a", b"a", b"b"))

    assert one.etag == same.etag != other.etag
    assert one.etag.startswith('"')


def test_what_is_no_schema_is_left_alone(tmp_path):
    (tmp_path / "asyncapi.json").write_bytes(read_shelf().asyncapi.content)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "README.txt").write_text("not one")

    assert read_shelf(tmp_path).schemas == {}
