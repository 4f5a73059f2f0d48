"""`python -m producer_service api | relay | migrate | outbox | schedule | api-keys | revise`."""

import asyncio
import os
import socket
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Protocol, TypeVar

import typer
from fastapi import FastAPI

from producer_service import migrations
from producer_service.api_keys_cli import api_keys_cli
from producer_service.app import producer, relay_alone
from producer_service.command_line import on_database, run
from producer_service.outbox_cli import outbox_cli
from producer_service.schedule_cli import schedule_cli
from producer_service.serving import serve, stopped_by_signals
from producer_service.settings import (
    ApiSettings,
    DatabaseSettings,
    Settings,
    load_settings,
    load_standalone_settings,
)
from shared.backends import open_transport
from shared.loop import pass_over_what_is_loaded
from shared.transport import Transport

S_contra = TypeVar("S_contra", bound=Settings, contravariant=True)


class Root(Protocol[S_contra]):
    """One of the composition roots."""

    def __call__(
        self, settings: S_contra, transport: Transport, *, stopping: asyncio.Event | None = None
    ) -> AbstractAsyncContextManager[FastAPI]:
        """Open the process's parts."""
        ...


def api() -> None:
    """Serve the HTTP API, and relay the outbox unless TIDINGS_RELAY_IN_API is false."""
    settings = load_standalone_settings(ApiSettings)
    run(settings, _serve(producer, settings, settings.http_port))


def relay() -> None:
    """Relay the outbox only, with health and metrics on a port of their own."""
    settings = load_standalone_settings(Settings)
    run(settings, _serve(relay_alone, settings, settings.relay_http_port))


def migrate() -> None:
    """Bring the database up to this code. Harmless to repeat, and to run twice at once."""
    on_database(load_settings(DatabaseSettings), migrations.migrate)


def revise(message: Annotated[str, typer.Argument(help="What changes, in a few words.")]) -> None:
    """Write a migration from the difference between the models and a database that is at head. For developers."""
    on_database(load_settings(DatabaseSettings), lambda engine: migrations.revise(engine, message))


async def _serve(root: Root[S_contra], settings: S_contra, port: int) -> None:
    name = f"producer@{socket.gethostname()}:{os.getpid()}"
    transport, stopping = open_transport(settings.broker_url.get_secret_value(), name=name), asyncio.Event()
    with stopped_by_signals(stopping):
        async with root(settings, transport, stopping=stopping) as app:
            pass_over_what_is_loaded()
            await serve(
                app, host=settings.http_host, port=port, stopping=stopping, drain_seconds=settings.drain_seconds
            )


def cli() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for command in (api, relay, migrate, revise):
        app.command()(command)
    app.add_typer(outbox_cli(), name="outbox")
    app.add_typer(api_keys_cli(), name="api-keys")
    app.add_typer(schedule_cli(), name="schedule")
    return app


if __name__ == "__main__":
    cli()()
