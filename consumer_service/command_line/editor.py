"""Somebody's own editor, on a text that must not stay behind on the disk."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

FALLBACK = "vi"
"""What POSIX promises to be there."""


def edited(text: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """Open the text in $VISUAL or $EDITOR, wait for its end, and return what was saved.

    The file is readable by its owner only, and removed in the end. Raises OSError when there is no such editor, and
    CalledProcessError when it ends with an error, as editors do to say that nothing shall be changed.
    """
    command = shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or FALLBACK)
    with tempfile.TemporaryDirectory(prefix="tidings-") as folder:
        file = Path(folder, "body.json")
        file.write_text(text, encoding="utf-8")
        subprocess.run([*command, str(file)], check=True)  # noqa: S603 - the operator's own choice
        return file.read_text(encoding="utf-8")
