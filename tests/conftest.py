"""Fixtures for every folder, and the last line of a run: which real servers it was run on."""

import asyncio
import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support.brokers import rabbitmq
from support.databases import database_url, in_memory, new_postgres, postgres, postgres_url, server, sqlite_file
from support.engines import compiled_once
from support.used import USED

__all__ = [
    "compiled_once",
    "database_url",
    "in_memory",
    "new_postgres",
    "postgres",
    "postgres_url",
    "rabbitmq",
    "server",
    "sqlite_file",
]

pytest_plugins = ["support.fault_options"]

# What a loaded machine takes longer for is not wrong. The others are asked for by `--hypothesis-profile`.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("patient"), max_examples=10)
settings.register_profile("thorough", settings.get_profile("patient"), max_examples=100_000, print_blob=True)
settings.load_profile("patient")


def pytest_configure() -> None:
    """Say that there is no event loop yet, or pytest-asyncio has asyncio make one, which it then leaves unclosed."""
    asyncio.set_event_loop(None)
    gc.disable()  # What is imported and collected stays.


def pytest_collection_finish() -> None:
    """Have the garbage collector look at what tests leave, and not again and again at all that was imported."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


DATABASES = frozenset({"database_url", "postgres", "sqlite_file"})
"""Whoever asks for one of these works on rows of a database."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a database; what runs on each kind of them is marked `postgres` where it is parametrised."""
    for item in items:
        asked = getattr(item, "fixturenames", ())
        if "postgres" in asked:
            item.add_marker("postgres")
        if not DATABASES.isdisjoint(asked):
            item.add_marker("database")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process that xdist started: tell the one that prints."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["used"] = session.config.stash.get(USED, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash.setdefault(USED, {}).update(getattr(node, "workeroutput", {}).get("used", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    used = config.stash.get(USED, {})
    names = [f"{name} {what}" for name, what in sorted(used.items())] or ["none; this was the part without servers"]
    terminalreporter.write_line(f"real servers: {', '.join(names)}")
