"""`./dev contracts`: what it prints, and the code with which it ends."""

import shutil
from typing import ClassVar

import pytest
from pydantic import Field
from support.repository import ROOT

from deploy.contracts.__main__ import main
from shared.events import EVENTS, Event


class Placed(Event):
    """Somebody ordered."""

    wire_type: ClassVar[str] = "order.placed"
    owner: ClassVar[str] = "shop"
    size: int = Field(le=9, description="How big.", examples=[1])

    @property
    def subject(self) -> str:
        return "o"


class Narrowed(Placed):
    """Somebody ordered something small."""

    size: int = Field(le=5, description="How big.", examples=[1])


class Nameless(Placed):
    """Nobody owns it."""

    owner: ClassVar[str] = ""


@pytest.fixture
def root(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(root, *arguments, contracts=(*EVENTS, Placed)):
    return main(arguments, root=root, contracts=contracts)


def test_what_is_exported_passes_the_check_until_the_code_changes(root, capsys):
    assert run(root, "check") == 1
    assert run(root, "export") == 0
    assert run(root, "check") == 0
    assert run(root, "check", contracts=EVENTS) == 1
    assert "docs/events.md differs from the code: run ./dev contracts export" in capsys.readouterr().err


def test_what_is_released_cannot_be_narrowed(root, capsys):
    assert run(root, "export") == run(root, "release") == 0

    codes = [run(root, command, contracts=(*EVENTS, Narrowed)) for command in ("compare", "check", "release")]

    assert codes == [1, 1, 1]
    assert capsys.readouterr().err.count("order.placed /properties/size/maximum: was 9, is 5") == 3


def test_a_comparison_with_a_folder_is_with_what_that_folder_says(root, capsys):
    run(root, "export")

    assert run(root, "compare", "--against", str(root)) == 0
    assert run(root, "compare", "--against", str(root), contracts=(*EVENTS, Narrowed)) == 1
    assert run(root, "compare", "--against", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_what_is_not_documented_is_refused_by_every_command(root, capsys):
    codes = [run(root, command, contracts=[Nameless]) for command in ("export", "check", "compare", "release")]

    assert codes == [1, 1, 1, 1]
    assert "order.placed: nobody owns it" in capsys.readouterr().err
    assert [path.name for path in root.iterdir()] == ["pyproject.toml"]


def test_nothing_left_to_do_is_said_as_well(root, capsys):
    run(root, "export")
    run(root, "release")
    capsys.readouterr()

    assert run(root, "export") == run(root, "release") == 0
    assert capsys.readouterr().out == "everything is as it should be\nevery form is released already\n"


def test_an_unknown_command_is_refused(root):
    with pytest.raises(SystemExit, match="2"):
        run(root, "publish")
