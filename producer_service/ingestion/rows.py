"""Outbox rows of other services' events: many at once, and one that is there already is told from one that is new.

PostgreSQL takes them as arrays, which costs one statement whatever their number; SQLite takes them one by one.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from pydantic_core import from_json
from sqlalchemy import ARRAY, DateTime, LargeBinary, SmallInteger, Table, Text, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.clock import now
from producer_service.models import OutboxRow

OUTBOX = cast("Table", OutboxRow.__table__)

MOMENT = DateTime(timezone=True)
TYPES: Mapping[str, Any] = {"payload": LargeBinary(), "time": MOMENT, "deliver_at": MOMENT, "lane": SmallInteger()}
"""Of the columns that are no text."""

COMPARED = ("source", "type", "subject", "data")
"""What makes two messages of one id the same. Times and correlation may differ: whoever repeats fills them in anew."""


async def insert_new(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert rows in this order, all with the same columns, and return the ids of those that were not there yet.

    Waits for a transaction that has inserted one of these ids and not ended yet, up to the lock timeout.
    """
    if session.get_bind().dialect.name == "postgresql":
        arrays = {f"each_{name}": [row[name] for row in rows] for name in rows[0]}
        inserted = await session.execute(_insert_arrays(tuple(rows[0])), arrays)
    else:
        statement = sqlite.insert(OUTBOX).values(recorded_at=now()).on_conflict_do_nothing(index_elements=["id"])
        inserted = await session.execute(statement.returning(OUTBOX.c.id), list(rows))
    return set(inserted.scalars())


@cache
def _insert_arrays(names: Sequence[str]) -> Any:
    """Build the statement once: it takes longer than running it for one row."""
    arrays = [bindparam(f"each_{name}", type_=ARRAY(TYPES.get(name, Text()))) for name in names]
    given = func.unnest(*arrays).table_valued(*names, with_ordinality="number", name="given").render_derived()
    chosen = select(*(given.c[name] for name in names), now()).order_by(given.c.number)
    return (
        postgresql.insert(OUTBOX)
        .from_select([*names, "recorded_at"], chosen)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(OUTBOX.c.id)
    )


async def conflicting(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return which of these ids belong to a message that says something else."""
    stored = select(OutboxRow.id, OutboxRow.payload).where(OutboxRow.id.in_([row["id"] for row in rows]))
    there = {row.id: row.payload for row in await session.execute(stored)}
    return {row["id"] for row in rows if not same_message(row["payload"], there.get(row["id"]))}


def same_message(payload: bytes, other: bytes | None) -> bool:
    """Tell whether two payloads say the same; what has just been purged is nobody's any more, and differs."""
    if other is None:
        return False
    one, two = from_json(payload), from_json(other)
    return all(one.get(name) == two.get(name) for name in COMPARED)
