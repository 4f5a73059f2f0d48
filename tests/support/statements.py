"""What is said to a database, statement by statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


@contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collect the text of every statement, and the ends of transactions, while this context lasts."""
    said: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    def committed(_connection: Any) -> None:
        said.append("COMMIT")

    event.listen(engine.sync_engine, "before_cursor_execute", remember)
    event.listen(engine.sync_engine, "commit", committed)
    try:
        yield said
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", remember)
        event.remove(engine.sync_engine, "commit", committed)
