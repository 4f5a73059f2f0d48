"""Foreign services, in Node and in a shell with curl, that send events over HTTP, each until it was accepted."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "emitters"
INSTALL = {"node": "Node 18 or later: Debian's `nodejs`", "curl": "Debian's `curl`"}


@dataclass
class Emitter:
    """One foreign service, and what it was told."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def accepted(self) -> list[str]:
        """The ids that it was answered, in the order of the answers."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [event for line in lines if line.endswith("\n") for event in json.loads(line)["accepted"]]

    def stop(self) -> None:
        """Let it end once what it has in hand is accepted."""
        self.process.terminate()

    def has_ended(self) -> bool:
        """Whether it is through with everything. An end by an error is a failure."""
        code = self.process.poll()
        assert code in {None, 0}, self.log.with_suffix(".err").read_text()
        return code == 0


def node(url: str, key: str) -> Sequence[str]:
    """Return how to start the one in Node."""
    return (_tool("node"), str(HERE / "emitter.mjs"), url, key)


def curl(url: str, key: str) -> Sequence[str]:
    """Return how to start the one with curl."""
    _tool("curl")
    return (str(HERE / "emitter.sh"), url, key, "curl")


def _tool(name: str) -> str:
    """Return where it is; without it the test is skipped, or fails where TIDINGS_REQUIRE lists it."""
    found = shutil.which(name)
    if found is None:
        give_up = pytest.fail if name in os.environ.get("TIDINGS_REQUIRE", "").split(",") else pytest.skip
        give_up(f"no {name} here; install {INSTALL[name]}")
    return str(found)


@contextmanager
def emitting(folder: Path, name: str, command: Sequence[str]) -> Iterator[Emitter]:
    """Run one; it is killed if it has not ended."""
    log = folder / f"{name}.log"
    with log.open("wb") as out, log.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    try:
        yield Emitter(process, log)
    finally:
        process.kill()
        process.wait(5)
