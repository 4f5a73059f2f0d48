"""The broker and the database that are measured: private ones by default, as the tests find them."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from support.brokers import open_rabbit, start_container
from support.databases import NoPostgres, PostgresServer, open_postgres
from support.private_rabbit import PrivateRabbit, find_server
from support.rabbit import Rabbit

BROKER_PROCESS, DATABASE_PROCESS = "beam.smp", "postgres"


class NoServer(Exception):
    """There is nothing to measure on. Says what is missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one measurement happens: a virtual host and databases that nobody has used before."""

    broker_url: str
    database_url: str
    second_database_url: str


@dataclass(frozen=True, slots=True)
class Servers:
    """One broker and one database server for a whole run."""

    rabbit: Rabbit
    postgres: PostgresServer
    broker_process: psutil.Process | None
    """None where the broker runs out of our sight: elsewhere, or in a container."""

    def describe(self) -> str:
        """Say in a few words what was measured on."""
        return f"RabbitMQ {self.rabbit.version} ({self.rabbit.kind}), PostgreSQL {self.postgres.origin}"

    @asynccontextmanager
    async def fresh_place(self) -> AsyncIterator[Place]:
        """Give a place of its own, and take it away afterwards, so that no measurement carries another's load."""
        async with AsyncExitStack() as opened:
            first = await opened.enter_async_context(self.postgres.new_database())
            second = await opened.enter_async_context(self.postgres.new_database())
            broker_url = self.rabbit.new_vhost()
            opened.callback(self.rabbit.forget_vhost, broker_url)
            yield Place(broker_url, first, second)


@contextmanager
def open_servers() -> Iterator[Servers]:
    """Start or find both, with all processors for the broker and fsync on. Raises NoServer, saying what to install."""
    try:
        with (
            open_rabbit(os.environ, server=find_server(), container=start_container, private=_unhurried) as rabbit,
            open_postgres() as postgres,
        ):
            yield Servers(rabbit, postgres, listener(rabbit.url(), BROKER_PROCESS))
    except (pytest.fail.Exception, pytest.skip.Exception, NoPostgres) as missing:
        raise NoServer(str(missing)) from None


def _unhurried(server: Path) -> PrivateRabbit:
    """Return a node with RabbitMQ's own defaults: all processors, statistics every five seconds."""
    return PrivateRabbit(server, schedulers=os.cpu_count() or 1, statistics_ms=5000)


def listener(url: str, name: str) -> psutil.Process | None:
    """Return the process of this name that listens at a URL's port on this machine, if we may see it."""
    port = urlsplit(url).port
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for each in connections:
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid is not None:
            found = psutil.Process(each.pid)
            if found.name() == name:
                return found
    return None
