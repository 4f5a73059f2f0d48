"""All engines of a run share what they have compiled: each for itself would compile every statement in every test."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

ALONE = "tests_share_nothing_with_it"
"""The option of an engine whose dialect a test has changed."""


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Let each connection use what others by the same driver have compiled, and add to it."""
    known: dict[tuple[str, str], tuple[Any, Any]] = {}

    def share(connection: Connection) -> None:
        engine: Any = connection.engine
        if connection.get_execution_options().get(ALONE):
            return
        kind = engine.dialect.name, engine.dialect.driver
        engine.dialect, engine._compiled_cache = known.setdefault(kind, (engine.dialect, engine._compiled_cache))
        connection.dialect = engine.dialect  # It is a part of every key.

    event.listen(Engine, "engine_connect", share)
    yield
    event.remove(Engine, "engine_connect", share)
