"""Engines of tests: each has its own connections, and all of a kind share what they have compiled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine


class Compiled:
    """Statements as SQL: compiled once in a run, where each engine for itself would do it once in each test."""

    def __init__(self) -> None:
        self._of_kind: dict[str, tuple[Any, Any]] = {}

    @asynccontextmanager
    async def shared(self, engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
        """Let a new engine use, and add to, what others of its kind have compiled; dispose of it in the end."""
        sync: Any = engine.sync_engine
        if found := self._of_kind.get(sync.dialect.name):
            sync.dialect, sync._compiled_cache = found  # The dialect is a part of every key.
        yield engine
        if sync.pool.checkedin():  # Else it may never have connected, and its dialect not know its server.
            self._of_kind.setdefault(sync.dialect.name, (sync.dialect, sync._compiled_cache))
        await engine.dispose()


@pytest.fixture(scope="session")
def compiled() -> Compiled:
    return Compiled()
