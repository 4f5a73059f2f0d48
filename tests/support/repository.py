"""The repository's own files, for tests about the house itself."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", ".tools", ".tidings", "__pycache__", "dist"}
"""Folders that are no part of the repository. Caches, which begin with a dot and end with _cache, are not either."""


def files() -> Iterator[Path]:
    """Yield every file of the repository. Asks no git, which a machine that unpacked an archive does not have."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in NOT_OURS and not re.fullmatch(r"\..*(_cache|hypothesis)", name)
        ]
        yield from (
            Path(folder, name) for name in names if not name.endswith((".pyc", ".db")) and name not in {".env", ".git"}
        )


def read(path: str) -> str:
    """Return the text of a file, named from the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def docker(*arguments: str, seconds: float = 60) -> str:
    """Run docker at the root and return what it printed; skip where there is none, fail where one is required."""
    command = shutil.which("docker")
    required = "docker" in os.environ.get("TIDINGS_REQUIRE", "").split(",")
    if command is None and not required:
        pytest.skip("needs Docker")
    try:
        done = subprocess.run(
            [command or "docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = f"docker {' '.join(arguments)}: {getattr(error, 'stderr', None) or error}"
        pytest.fail(said) if required else pytest.skip(said)
    return done.stdout
