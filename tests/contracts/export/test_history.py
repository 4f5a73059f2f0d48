"""What was promised: released forms, another folder, another revision."""

import json
import shutil
import subprocess
from typing import ClassVar

import pytest
from pydantic import Field
from support.repository import ROOT

from deploy.contracts.documents import as_text
from deploy.contracts.history import UnknownBase, promised_by, release, released
from deploy.contracts.schemas import schema_of
from shared.contracts import Contract


class First(Contract):
    """Somebody ordered."""

    wire_type: ClassVar[str] = "order.placed"
    size: int = Field(le=9, description="How big.", examples=[1])

    @property
    def subject(self) -> str:
        return "o"


class Additive(First):
    """Somebody ordered, in a colour."""

    colour: str = "red"


def test_a_release_freezes_each_form_once_and_counts_what_is_added(tmp_path):
    first, again = release(tmp_path, [First]), release(tmp_path, [First])
    added = release(tmp_path, [Additive])

    assert (first, again, added) == (
        ["contracts/released/order.placed/1.0"],
        [],
        ["contracts/released/order.placed/1.1"],
    )
    assert [promise.origin for promise in released(tmp_path)] == ["release 1.0", "release 1.1"]
    assert [json.loads(promise.message)["data"] for promise in released(tmp_path)] == [
        {"size": 1},
        {"size": 1, "colour": "red"},
    ]


def test_releases_are_counted_and_not_sorted_like_words(tmp_path):
    for minor in (0, 2, 10):
        path = tmp_path / f"contracts/released/order.placed/1.{minor}.schema.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(schema_of(First)))
        path.with_name(f"1.{minor}.message.json").write_text("{}")

    assert [promise.origin for promise in released(tmp_path)] == ["release 1.0", "release 1.2", "release 1.10"]
    assert release(tmp_path, [Additive]) == ["contracts/released/order.placed/1.11"]


def test_other_words_for_the_same_form_are_no_release(tmp_path):
    release(tmp_path, [First])
    file = tmp_path / "contracts/released/order.placed/1.0.schema.json"
    file.write_text(as_text(json.loads(file.read_text()) | {"description": "It was said otherwise."}))

    assert release(tmp_path, [First]) == []


def test_a_release_without_its_message_is_damaged(tmp_path):
    release(tmp_path, [First])
    (tmp_path / "contracts/released/order.placed/1.0.message.json").unlink()

    with pytest.raises(UnknownBase, match=r"order\.placed/1\.0\.message\.json is missing"):
        released(tmp_path)


@pytest.mark.parametrize("inner", ["", "schemas", "contracts/schemas"])
def test_a_folder_promises_what_its_files_say(tmp_path, inner):
    folder = tmp_path / inner
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "order.placed.json").write_text(as_text(schema_of(First)))
    (folder / "README.json").write_text("{}")

    (promise,) = promised_by(ROOT, str(tmp_path))

    assert (promise.wire_type, promise.schema["$id"]) == ("order.placed", "urn:tidings:schema:order.placed:1")


def test_a_revision_promises_what_it_has_committed(tmp_path):
    program = shutil.which("git")
    if program is None:
        pytest.skip("what a revision promised is read from git: install it")

    def git(*arguments):
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(
            [program, *identity, *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=30,
        )

    folder = tmp_path / "contracts/schemas"
    folder.mkdir(parents=True)
    (folder / "order.placed.json").write_text(as_text(schema_of(First)))
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "One")
    (folder / "order.placed.json").write_text("{}")

    (promise,) = promised_by(tmp_path, "HEAD")

    assert promise.schema["properties"]["size"]["maximum"] == 9


@pytest.mark.parametrize("base", ["no-such-thing", "--help", "", "HEAD~999999"])
def test_where_there_is_nothing_to_compare_with_it_says_so(tmp_path, base):
    with pytest.raises(UnknownBase, match="neither a folder nor a revision"):
        promised_by(tmp_path, base)


@pytest.mark.parametrize("text", ["{", "[]", "", "7"])
def test_a_file_that_is_no_schema_is_named(tmp_path, text):
    (tmp_path / "order.placed.json").write_text(text)

    with pytest.raises(UnknownBase, match=r"the schema of order\.placed is not (JSON|a JSON object)"):
        promised_by(ROOT, str(tmp_path))
