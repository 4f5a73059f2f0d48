"""What every command does alike: run, and end with a code that a script can tell apart."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncEngine
from uvicorn.loops.auto import auto_loop_factory

from producer_service.database import DATABASE_ERRORS, PATIENT, open_engine
from producer_service.interventions import Operator
from producer_service.settings import DatabaseSettings
from producer_service.trouble import describe
from shared.logs import configure_logs

T = TypeVar("T")

Why = Annotated[str, typer.Option(help="The reason, for the record.")]
By = Annotated[str | None, typer.Option(help="Who acts; TIDINGS_OPERATOR or the system's user if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")]


def run(settings: DatabaseSettings, main: Coroutine[Any, Any, T]) -> T:
    """Run to the end and return the result, or exit with code 1 and one line when the database cannot be used."""
    configure_logs("producer", level=settings.log_level, shape=settings.log_format)
    try:
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            return runner.run(main)
    except DATABASE_ERRORS as error:
        typer.echo(describe(error), err=True)
        raise typer.Exit(1) from None


def on_database(settings: DatabaseSettings, use: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Run something that needs the database only, and may take its time; as `run` does."""
    return run(settings, _with_engine(settings, use))


def refuse(line: str) -> NoReturn:
    """Say on stderr what is wrong with what was asked, and exit with code 2."""
    typer.echo(line, err=True)
    raise typer.Exit(2)


def operator_of(by: str | None, why: str, settings: DatabaseSettings, *, dry_run: bool = False) -> Operator:
    """Return who acts, and why, which a dry run need not say. Exits with code 2 when nobody can tell."""
    if not (why.strip() or dry_run):
        refuse("--why: say why, for the record")
    try:
        return Operator(by or settings.operator or getpass.getuser(), why)
    except (KeyError, ImportError, OSError):
        refuse("--by: say who you are, or set TIDINGS_OPERATOR; this system has no name for its user")


async def _with_engine(settings: DatabaseSettings, use: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    engine = open_engine(settings.database_url.get_secret_value(), deadlines=PATIENT)
    try:
        return await use(engine)
    finally:
        await engine.dispose()
