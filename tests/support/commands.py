"""Commands of both services, run to their end in processes of their own, as an operator would run them.

The processes are forked from one that has imported both services: importing takes a second, and most commands a tenth
of it. The longer-lived ones, of `support.processes`, are started as an operator starts them.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

COMMAND_SECONDS = 60.0

SERVICES = ("consumer_service", "producer_service")


@dataclass(frozen=True)
class Ended:
    """What a command has said, and how it ended."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def said(self) -> list[str]:
        return self.out + self.err


def run_command(service: str, *arguments: str, env: Mapping[str, str], folder: Path, stdin: str | None = None) -> Ended:
    """Run `python -m <service> <arguments>` with nothing but this environment, and no terminal."""
    environment = {"PATH": os.environ["PATH"], "TIDINGS_LOG_FORMAT": "json"} | dict(env)
    with TemporaryDirectory() as streams:
        for number, text in enumerate((stdin or "", "", "")):
            (Path(streams) / str(number)).write_text(text)
        process = _context().Process(target=_become, args=(service, arguments, environment, folder, streams))
        process.start()
        process.join(COMMAND_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        _, out, err = ((Path(streams) / str(number)).read_text().splitlines() for number in range(3))
        return Ended(process.exitcode, out, err)


def run_consumer(*arguments: str, env: Mapping[str, str], folder: Path, stdin: str | None = None) -> Ended:
    return run_command("consumer_service", *arguments, env=env, folder=folder, stdin=stdin)


@cache
def _context() -> ForkServerContext:
    """Return the way to processes that are forked from one without threads. Its server ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.commands", *(f"{service}.__main__" for service in SERVICES)])
    return context


def _become(service: str, arguments: tuple[str, ...], environment: dict[str, str], folder: Path, streams: str) -> None:
    """Turn this process into a command. What it says goes to files, as its words do that end it."""
    for number in range(3):
        opened = os.open(f"{streams}/{number}", os.O_RDWR | os.O_APPEND * (number > 0))
        os.dup2(opened, number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing has given it nothing to read
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [service, *arguments]
    sys.modules.pop(f"{service}.__main__", None)  # Imported for what it imports, and now to be run.
    runpy.run_module(service, run_name="__main__", alter_sys=True)
