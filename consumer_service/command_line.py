"""What every command does alike: open what its settings name, run, and end with a code that a script can tell apart."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer

from consumer_service.database import DATABASE_ERRORS
from consumer_service.outcome import as_line
from consumer_service.settings import BrokerSettings, refuse
from shared.backends import open_transport
from shared.errors import TidingsError
from shared.transport import Transport

T = TypeVar("T")


def open_broker(settings: BrokerSettings) -> Transport:
    """Return the transport that the settings name. Exits with code 2 for one that lives in a single process."""
    transport = open_transport(settings.broker_url, name="tidings consumer", management_url=settings.management_url)
    if not transport.capabilities.shared_between_processes:
        refuse(["TIDINGS_BROKER_URL: memory:// lives in one process, so a worker of its own would never get a message"])
    return transport


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and return the result.

    Exits with one line on stderr: with code 2 for a setting that turned out to be wrong, and with 1 when broker or
    database could not do their part.
    """
    try:
        return asyncio.run(work)
    except ValueError as error:
        refuse([f"{type(error).__name__}: {error}"])
    except TidingsError as error:
        _give_up(f"{type(error).__name__}: {error}")
    except DATABASE_ERRORS as error:
        _give_up(f"the database cannot be used: {as_line(str(error))}")


def _give_up(line: str) -> NoReturn:
    typer.echo(line, err=True)
    raise typer.Exit(1) from None
