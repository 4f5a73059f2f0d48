"""`python -m consumer_service worker | migrate | topology | tasks`."""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
import uvicorn

from consumer_service.database import DATABASE_ERRORS, MIGRATION_SECONDS, open_engine
from consumer_service.migrations import migrate as migrate_database
from consumer_service.outcome import as_line
from consumer_service.queues import by_family, queue_name, topology_of
from consumer_service.registry import TASKS
from consumer_service.settings import Settings, load_settings, refuse
from consumer_service.worker import Worker, open_tasks
from shared.backends import open_transport
from shared.errors import TidingsError
from shared.logs import configure_logs
from shared.transport import Transport

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Consume events and do what they ask for.",
)
topology_cli = typer.Typer(no_args_is_help=True, help="Compare the broker with what the code needs, or make it so.")
cli.add_typer(topology_cli, name="topology")

FAMILIES = tuple(by_family(TASKS))

Queues = Annotated[list[str] | None, typer.Option("--queue", "-q", help=f"Family to serve: {', '.join(FAMILIES)}.")]


@cli.command()
def worker(
    queue: Queues = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", "-c", help="Tasks at a time, per queue.")] = None,
) -> None:
    """Consume until SIGTERM, then finish what is running and leave."""
    settings, transport = _open(**({} if concurrency is None else {"concurrency": concurrency}))
    families = _families(queue, settings)
    _run(_work(settings, transport, families))


@cli.command()
def migrate() -> None:
    """Bring the database to the schema that this code needs."""
    settings = load_settings()
    configure_logs("consumer", level=settings.log_level, shape=settings.log_format)
    _run(_migrate(settings))


@cli.command()
def tasks() -> None:
    """Show which task takes which message, from which queue, and how it is tried again."""
    for task in TASKS:
        policy = f"{task.retry.limit} attempts from {task.retry.first.total_seconds():g} s, x{task.retry.growth:g}"
        typer.echo(
            f"{task.takes.wire_type:36} {task.__name__:26} {queue_name(task.queue):24} {task.guarantee:14} {policy}"
        )


@topology_cli.command()
def plan() -> None:
    """Print every way in which the broker differs from what the code needs. Changes nothing."""
    _, transport = _open()
    differences = _run(transport.plan(topology_of(TASKS)))
    for difference in differences:
        typer.echo(str(difference))
    typer.echo(f"{len(differences)} differences")


@topology_cli.command()
def apply() -> None:
    """Create what is missing. Repeating it changes nothing; nothing is ever deleted."""
    _, transport = _open()
    _run(transport.apply(topology_of(TASKS)))
    typer.echo("the broker holds what the code needs")


@topology_cli.command()
def verify() -> None:
    """Exit with code 1, naming each difference with both values, unless the broker is as the code needs it."""
    _, transport = _open()
    differences = _run(transport.plan(topology_of(TASKS)))
    for difference in differences:
        typer.echo(str(difference), err=True)
    if differences:
        raise typer.Exit(1)
    typer.echo("the broker holds what the code needs")


def _open(**given: Any) -> tuple[Settings, Transport]:
    settings = load_settings(**given)
    configure_logs("consumer", level=settings.log_level, shape=settings.log_format)
    transport = open_transport(settings.broker_url, name="tidings consumer")
    if not transport.capabilities.shared_between_processes:
        refuse(["TIDINGS_BROKER_URL: memory:// lives in one process, so a worker of its own would never get a message"])
    return settings, transport


def _families(wanted: list[str] | None, settings: Settings) -> tuple[str, ...]:
    families = tuple(dict.fromkeys(wanted or FAMILIES))
    unknown = [f"--queue: {name!r} is not one of {', '.join(FAMILIES)}" for name in families if name not in FAMILIES]
    missing = settings.missing_for(families)
    if unknown or missing:
        refuse(unknown + missing)
    return families


async def _work(settings: Settings, transport: Transport, families: tuple[str, ...]) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    engine = open_engine(settings.database_url, pool_size=settings.connections_for(families))
    try:
        async with open_tasks(settings, families) as tasks:
            worker = Worker(settings=settings, transport=transport, engine=engine, tasks=tasks)
            await _serve_while(worker, settings, stop)
    finally:
        await engine.dispose()


async def _serve_while(worker: Worker, settings: Settings, stop: asyncio.Event) -> None:
    """Run the worker, with its health app beside it until it has ended."""
    listening = _listen(settings.http_host, settings.http_port)
    server = HealthServer(uvicorn.Config(worker.health(), log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        await worker.run(stop)
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Opened here, because uvicorn would end the process from within a task."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        refuse([f"TIDINGS_HTTP_PORT: cannot listen on {host}, port {port}: {error.strerror}"])


class HealthServer(uvicorn.Server):
    """Serves beside something else that decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the worker."""
        yield


async def _migrate(settings: Settings) -> None:
    engine = open_engine(settings.database_url, statement_seconds=MIGRATION_SECONDS)
    try:
        await migrate_database(engine)
    finally:
        await engine.dispose()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except (TidingsError, ValueError) as error:
        refuse([f"{type(error).__name__}: {error}"])
    except DATABASE_ERRORS as error:
        typer.echo(f"the database cannot be used: {as_line(str(error))}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    cli()
