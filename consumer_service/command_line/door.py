"""How a command begins and ends: settings read once, one line for each mistake, and an exit code."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

import typer
from uvicorn.loops.auto import auto_loop_factory

from consumer_service.database import DATABASE_ERRORS
from consumer_service.outcome import as_line
from consumer_service.settings import BrokerSettings, load_settings, refuse
from shared.backends import open_transport
from shared.errors import TidingsError
from shared.logs import configure_logs
from shared.transport import Transport

B = TypeVar("B", bound=BrokerSettings)
T = TypeVar("T")


def open_broker(
    kind: type[B], given: Mapping[str, object] | None = None, *, quiet: bool = False
) -> tuple[B, Transport]:
    """Read settings of this kind, set up the log, and return both with a transport that is not connected yet.

    What is `given` goes before the environment. `quiet` is for commands whose words go to a person: their log holds
    warnings only, unless it was asked for in detail. Exits with code 2 for settings that are wrong.
    """
    settings = load_settings(kind, **(given or {}))
    level = "WARNING" if quiet and settings.log_level == "INFO" else settings.log_level
    configure_logs("consumer", level=level, shape=settings.log_format)
    transport = open_transport(settings.broker_url, name="tidings consumer", management_url=settings.management_url)
    if not transport.capabilities.shared_between_processes:
        refuse(["TIDINGS_BROKER_URL: memory:// lives in one process, so a worker of its own would never get a message"])
    return settings, transport


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command to its end, on the faster event loop where one is installed, and return its result.

    Exits with one line on stderr: with code 2 for a setting that turned out to be wrong, and with 1 when broker or
    database could not do their part.
    """
    try:
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            return runner.run(work)
    except BrokenPipeError:
        _leave_without_a_word()
    except ValueError as error:
        refuse([f"{type(error).__name__}: {error}"])
    except TidingsError as error:
        _give_up(f"{type(error).__name__}: {error}")
    except DATABASE_ERRORS as error:
        _give_up(f"the database cannot be used: {as_line(str(error))}")


def _give_up(line: str) -> NoReturn:
    typer.echo(line, err=True)
    raise typer.Exit(1) from None


def _leave_without_a_word() -> NoReturn:
    """Whoever read our words has read enough, as `head` does. Python would complain once more when it closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(1)
