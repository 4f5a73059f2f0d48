"""`python -m producer_service api | relay | migrate | release | revise`."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Protocol

import typer
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from uvicorn.loops.auto import auto_loop_factory

from producer_service import migrations
from producer_service.app import producer, relay_alone
from producer_service.database import DATABASE_ERRORS, PATIENT, open_engine
from producer_service.outbox import Outbox
from producer_service.serving import serve, stopped_by_signals
from producer_service.settings import DatabaseSettings, Settings, load_settings, load_standalone_settings
from producer_service.trouble import describe
from shared.backends import open_transport
from shared.logs import configure_logs
from shared.transport import Transport


class Root(Protocol):
    """One of the composition roots."""

    def __call__(
        self, settings: Settings, transport: Transport, *, stopping: asyncio.Event | None = None
    ) -> AbstractAsyncContextManager[FastAPI]:
        """Open the process's parts."""
        ...


def api() -> None:
    """Serve the HTTP API, and relay the outbox unless TIDINGS_RELAY_IN_API is false."""
    settings = load_standalone_settings()
    _run(settings, _serve(producer, settings, settings.http_port))


def relay() -> None:
    """Relay the outbox only, with health and metrics on a port of their own."""
    settings = load_standalone_settings()
    _run(settings, _serve(relay_alone, settings, settings.relay_http_port))


def migrate() -> None:
    """Bring the database up to this code. Harmless to repeat, and to run twice at once."""
    settings = load_settings(DatabaseSettings)
    _run(settings, _with_engine(settings, migrations.migrate))


def release(
    event_id: Annotated[str | None, typer.Argument(help="One parked message; all of them if left out.")] = None,
) -> None:
    """Let parked messages be published again, once the reason for which they were parked is gone."""
    settings = load_settings(DatabaseSettings)

    async def released(engine: AsyncEngine) -> None:
        typer.echo(f"{await Outbox(engine).release_parked(event_id)} released")

    _run(settings, _with_engine(settings, released))


def revise(message: Annotated[str, typer.Argument(help="What changes, in a few words.")]) -> None:
    """Write a migration from the difference between the models and a database that is at head. For developers."""
    settings = load_settings(DatabaseSettings)
    _run(settings, _with_engine(settings, lambda engine: migrations.revise(engine, message)))


async def _serve(root: Root, settings: Settings, port: int) -> None:
    name = f"producer@{socket.gethostname()}:{os.getpid()}"
    transport, stopping = open_transport(settings.broker_url.get_secret_value(), name=name), asyncio.Event()
    with stopped_by_signals(stopping):
        async with root(settings, transport, stopping=stopping) as app:
            await serve(
                app, host=settings.http_host, port=port, stopping=stopping, drain_seconds=settings.drain_seconds
            )


async def _with_engine(settings: DatabaseSettings, use: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    engine = open_engine(settings.database_url.get_secret_value(), deadlines=PATIENT)
    try:
        await use(engine)
    finally:
        await engine.dispose()


def _run(settings: DatabaseSettings, main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or exit with code 1 and one line when the database cannot be used."""
    configure_logs("producer", level=settings.log_level, shape=settings.log_format)
    try:
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(main)
    except DATABASE_ERRORS as error:
        typer.echo(describe(error), err=True)
        raise typer.Exit(1) from None


def cli() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for command in (api, relay, migrate, release, revise):
        app.command()(command)
    return app


if __name__ == "__main__":
    cli()()
