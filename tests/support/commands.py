"""Commands of the consumer service, run to their end as an operator would run them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.processes import ROOT

COMMAND_SECONDS = 60.0


@dataclass(frozen=True)
class Ended:
    """What a command has said, and how it ended."""

    code: int
    out: list[str]
    err: list[str]


def run_consumer(*arguments: str, env: Mapping[str, str], folder: Path, stdin: str | None = None) -> Ended:
    """Run `python -m consumer_service <arguments>` with nothing but this environment, and no terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer_service", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TIDINGS_LOG_FORMAT": "json"} | dict(env),
        cwd=folder,
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())
