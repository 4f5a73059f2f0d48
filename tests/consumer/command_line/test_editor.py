import sys
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from consumer_service.command_line.editor import edited

SCRIPT = """\
import sys, pathlib
file = pathlib.Path(sys.argv[1])
(pathlib.Path({folder!r}) / "seen").write_text(f"{{file}} {{file.parent.stat().st_mode & 0o077}}")
file.write_text(file.read_text().replace("wrong", "right"))
sys.exit({code})
"""


def an_editor(folder, code=0):
    script = folder / "my editor.py"
    script.write_text(SCRIPT.format(folder=str(folder), code=code))
    return f"{sys.executable} '{script}'"


@pytest.mark.parametrize("variable", ["VISUAL", "EDITOR"])
def test_what_was_saved_comes_back(tmp_path, variable):
    assert edited("wrong", environ={variable: an_editor(tmp_path)}) == "right"


def test_nobody_else_can_read_it_and_nothing_stays_behind(tmp_path):
    edited("wrong", environ={"EDITOR": an_editor(tmp_path)})

    seen, others = (tmp_path / "seen").read_text().split()
    file = Path(seen)
    assert others == "0"
    assert not file.exists()
    assert not file.parent.exists()


def test_an_editor_that_fails_changes_nothing(tmp_path):
    with pytest.raises(CalledProcessError):
        edited("wrong", environ={"EDITOR": an_editor(tmp_path, code=1)})


def test_an_editor_that_is_not_there_is_said_so():
    with pytest.raises(OSError, match="no-such-editor"):
        edited("wrong", environ={"EDITOR": "no-such-editor"})
