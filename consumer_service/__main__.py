"""`python -m consumer_service worker | collector | dead-letters | migrate | topology | tasks`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
import uvicorn

from consumer_service.command_line.dead_letters import dead_letters_cli
from consumer_service.command_line.door import open_broker, run
from consumer_service.command_line.topology import topology_cli
from consumer_service.database import MIGRATION_SECONDS, longest_transaction, open_engine
from consumer_service.dead_letters.collector import CollectorProcess
from consumer_service.dead_letters.readers import Readers
from consumer_service.migrations import migrate as migrate_database
from consumer_service.processes import Processes
from consumer_service.queues import by_family, lanes_of, queue_name
from consumer_service.registry import TASKS
from consumer_service.settings import DatabaseSettings, Settings, load_settings, refuse
from consumer_service.worker import Worker, open_tasks
from shared.contracts import Lane
from shared.logs import configure_logs
from shared.loop import pass_over_what_is_loaded
from shared.transport import Transport

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Consume events and do what they ask for.",
)
cli.add_typer(topology_cli(), name="topology")
cli.add_typer(dead_letters_cli(), name="dead-letters")

FAMILIES = tuple(by_family(TASKS))

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

LEAVE_MARGIN_SECONDS = 10.0
"""What a worker may take to close its sessions, after it has drained."""

Queues = Annotated[list[str] | None, typer.Option("--queue", "-q", help=f"Family to serve: {', '.join(FAMILIES)}.")]


@cli.command()
def worker(
    queue: Queues = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", "-c", help="Tasks at a time, per queue.")] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Workers side by side, one health port each.")] = 1,
) -> None:
    """Consume until SIGTERM, then finish what is running and leave; a second SIGTERM ends it at once."""
    settings, transport = open_broker(Settings, {} if concurrency is None else {"concurrency": concurrency})
    families = _families(queue, settings)
    if processes == 1:
        run(_work(settings, transport, families))
    else:
        raise typer.Exit(run(_work_side_by_side(settings, families, processes)))


@cli.command()
def collector() -> None:
    """Move dead letters from the broker into the table, until SIGTERM."""
    settings, transport = open_broker(Settings)
    run(_collect(settings, transport))


@cli.command()
def migrate() -> None:
    """Bring the database to the schema that this code needs."""
    settings = load_settings(DatabaseSettings)
    configure_logs("consumer", level=settings.log_level, shape=settings.log_format)
    run(_migrate(settings))


@cli.command()
def tasks() -> None:
    """Show which task takes which message, from which queue, and how it is tried again."""
    for task in TASKS:
        policy = f"{task.retry.limit} attempts from {task.retry.first.total_seconds():g} s, x{task.retry.growth:g}"
        typer.echo(
            f"{task.takes.wire_type:36} {task.__name__:26} {queue_name(task.queue):24} {task.guarantee:14} {policy}"
        )


def _families(wanted: list[str] | None, settings: Settings) -> tuple[str, ...]:
    families = tuple(dict.fromkeys(wanted or FAMILIES))
    unknown = [f"--queue: {name!r} is not one of {', '.join(FAMILIES)}" for name in families if name not in FAMILIES]
    missing = settings.missing_for(families)
    if unknown or missing:
        refuse(unknown + missing)
    return families


def _lanes(families: tuple[str, ...]) -> list[Lane]:
    """Return the lane of each queue of these families."""
    return [lane for family, members in by_family(TASKS).items() if family in families for lane in lanes_of(members)]


async def _work_side_by_side(settings: Settings, families: tuple[str, ...], count: int) -> int:
    command = [sys.executable, "-m", "consumer_service", "worker", "-c", str(settings.concurrency)]
    command += [part for family in families for part in ("-q", family)]
    ports = [settings.http_port + number if settings.http_port else 0 for number in range(count)]
    environments = [{**os.environ, "TIDINGS_HTTP_PORT": str(port)} for port in ports]
    processes = Processes(command, environments, leave_seconds=settings.drain_seconds + LEAVE_MARGIN_SECONDS)
    return await processes.run(_stop_when_told())


def _stop_when_told() -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets; the next one ends the process, and nothing is lost."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def told() -> None:
        stop.set()
        for name in STOP_SIGNALS:
            loop.remove_signal_handler(name)

    for name in STOP_SIGNALS:
        loop.add_signal_handler(name, told)
    return stop


async def _work(settings: Settings, transport: Transport, families: tuple[str, ...]) -> None:
    stop = _stop_when_told()
    longest_task = max(task.timeout for task in TASKS if task.queue in families)
    engine = open_engine(
        settings.database_url,
        pool_size=settings.connections_for(_lanes(families)),
        transaction_seconds=longest_transaction(longest_task),
    )
    try:
        async with open_tasks(settings, families) as tasks:
            worker = Worker(settings=settings, transport=transport, engine=engine, tasks=tasks)
            await _serve_while(worker, _listen(settings.http_host, settings.http_port), stop)
    finally:
        await engine.dispose()


async def _collect(settings: Settings, transport: Transport) -> None:
    stop, readers = _stop_when_told(), Readers(TASKS)
    engine = open_engine(settings.database_url, pool_size=len(readers.queues) + 2)
    try:
        process = CollectorProcess(transport=transport, engine=engine, readers=readers)
        listening = _listen(settings.http_host, settings.collector_http_port, "COLLECTOR_HTTP_PORT")
        await _serve_while(process, listening, stop)
    finally:
        await engine.dispose()


async def _serve_while(worker: Worker | CollectorProcess, listening: socket.socket, stop: asyncio.Event) -> None:
    """Run the process, with its health app beside it until it has ended."""
    server = HealthServer(uvicorn.Config(worker.health(), log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve([listening]))
    pass_over_what_is_loaded()
    try:
        await worker.run(stop)
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


def _listen(host: str, port: int, name: str = "HTTP_PORT") -> socket.socket:
    """Return a listening socket. Opened here, because uvicorn would end the process from within a task."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        refuse([f"TIDINGS_{name}: cannot listen on {host}, port {port}: {error.strerror}"])


class HealthServer(uvicorn.Server):
    """Serves beside something else that decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the worker."""
        yield


async def _migrate(settings: DatabaseSettings) -> None:
    engine = open_engine(settings.database_url, statement_seconds=MIGRATION_SECONDS, transaction_seconds=0)
    try:
        await migrate_database(engine)
    finally:
        await engine.dispose()


if __name__ == "__main__":
    cli()
