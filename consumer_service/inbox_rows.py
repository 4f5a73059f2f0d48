"""The inbox's statements: many rows at once, in one round trip.

PostgreSQL takes them as arrays, which costs one statement whatever their number; SQLite takes them one by one. Each is
built once: building one takes longer than the database needs for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    LargeBinary,
    Text,
    bindparam,
    collate,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consumer_service.claim import Remembered, Status
from consumer_service.dispatch import Assignment, Key
from consumer_service.driver import Database
from consumer_service.models import InboxMessage, WorkerRow

KEY = tuple_(InboxMessage.task, InboxMessage.message_id)

STARTED_ROW = ("task", "message_id", "body_hash", "attempt", "replays")
FINISHED_ROW = (*STARTED_ROW, "status", "error")

AGAIN = ("of_task", "of_id", "starts", "attempt", "replays")

TYPES: Mapping[str, Any] = {
    "task": Text(),
    "message_id": Text(),
    "body_hash": LargeBinary(),
    "attempt": Integer(),
    "replays": Integer(),
    "status": Text(),
    "error": Text(),
}


@dataclass(frozen=True, slots=True)
class Finish:
    """How one that was started ended."""

    assignment: Assignment
    status: Status
    error: str | None = None

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.assignment.key


def row_of(assignment: Assignment) -> dict[str, Any]:
    """Return what the inbox remembers of a message, by column."""
    return {
        "task": assignment.key.task,
        "message_id": assignment.key.message_id,
        "body_hash": assignment.body_hash,
        "attempt": assignment.delivery.message.attempt,
        "replays": assignment.replays,
    }


async def insert_rows(
    database: Database, rows: Sequence[Mapping[str, Any]], *, status: Status, holder: str
) -> set[Key]:
    """Insert these with this status and return which of them were not there yet.

    A row that another transaction has inserted and not committed makes this wait for it, up to the lock timeout.
    """
    if database.has_arrays:
        inserted = await database.execute(_insert_arrays(status, holder), _arrays(rows))
    else:
        fixed = {"status": status, "holder": holder}
        inserted = await database.execute(_insert_one(status), [{**row, **fixed} for row in rows])
    return {Key(*row) for row in inserted}


@cache
def _insert_one(status: Status) -> Any:
    statement = sqlite.insert(InboxMessage).values(finished_at=_finished_at(status)).on_conflict_do_nothing()
    return statement.returning(InboxMessage.task, InboxMessage.message_id)


@cache
def _insert_arrays(status: Status, holder: str) -> Any:
    given = _given(STARTED_ROW)
    chosen = select(*given.c, literal(status), literal(holder), literal(1), _finished_at(status))
    names = [*STARTED_ROW, "status", "holder", "starts", "finished_at"]
    return (
        postgresql.insert(InboxMessage)
        .from_select(names, chosen)
        .on_conflict_do_nothing()
        .returning(InboxMessage.task, InboxMessage.message_id)
    )


async def finish_rows(database: Database, finishes: Sequence[Finish], *, holder: str) -> None:
    """Record these ends, of different pairs. A row that is done, or that another worker holds, stays as it is.

    Where there is no row any more it makes one: what has ended is known, whatever was known before.
    """
    rows = [row_of(each.assignment) | {"status": each.status, "error": each.error} for each in finishes]
    if database.has_arrays:
        await database.execute(_finish_arrays(holder), _arrays(rows))
    else:
        await database.execute(_finish_one(holder), rows)


@cache
def _finish_arrays(holder: str) -> Any:
    given = _given(FINISHED_ROW)
    names = [*FINISHED_ROW, "holder", "starts", "finished_at"]
    chosen = select(*given.c, literal(holder), literal(1), func.current_timestamp())
    return _or_update(postgresql.insert(InboxMessage).from_select(names, chosen), holder)


@cache
def _finish_one(holder: str) -> Any:
    return _or_update(sqlite.insert(InboxMessage).values(holder=holder, finished_at=func.current_timestamp()), holder)


def _or_update(insert: Any, holder: str) -> Any:
    """Find the row by its key whatever the statistics say; a join is planned by them, and reads a table without any."""
    return insert.on_conflict_do_update(
        index_elements=[InboxMessage.task, InboxMessage.message_id],
        set_={name: insert.excluded[name] for name in ("status", "error", "finished_at")},
        where=(InboxMessage.holder == holder) & (InboxMessage.status != Status.DONE),
    )


async def remembered(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, Remembered]:
    """Return what is known of these, and keep anybody else from changing it until the end of the transaction."""
    bytewise = "C" if connection.dialect.name == "postgresql" else "BINARY"
    statement = (
        select(InboxMessage, WorkerRow.seen_at, func.current_timestamp(type_=WorkerRow.seen_at.type).label("now"))
        .join(WorkerRow, WorkerRow.id == InboxMessage.holder, isouter=True)
        .where(KEY.in_(keys))
        .order_by(collate(InboxMessage.task, bytewise), collate(InboxMessage.message_id, bytewise))
        .with_for_update(of=InboxMessage)
    )
    return {
        Key(row.task, row.message_id): Remembered(
            row.body_hash, Status(row.status), row.holder, row.starts, row.replays, row.seen_at, row.now
        )
        for row in await connection.execute(statement)
    }


async def start_again(
    connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], *, status: Status, holder: str
) -> None:
    """Take rows over that were there before; each says how many `starts` it has had with this one."""
    statement = (
        update(InboxMessage)
        .where(InboxMessage.task == bindparam("of_task"), InboxMessage.message_id == bindparam("of_id"))
        .values(
            status=status,
            holder=holder,
            starts=bindparam("starts"),
            attempt=bindparam("attempt"),
            replays=bindparam("replays"),
            started_at=func.current_timestamp(),
            finished_at=_finished_at(status),
        )
    )
    named = [{**row, "of_task": row["task"], "of_id": row["message_id"]} for row in rows]
    await connection.execute(statement, [{name: row[name] for name in AGAIN} for row in named])


def _given(names: Sequence[str]) -> Any:
    """Return a table with a column for each name, made of the arrays that `_arrays` gives."""
    arrays = [bindparam(f"each_{name}", type_=ARRAY(TYPES[name])) for name in names]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def _arrays(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    # Parameters named like columns would be taken for values of these columns.
    return {f"each_{name}": [row[name] for row in rows] for name in rows[0]}


def _finished_at(status: Status) -> ColumnElement[Any]:
    return func.current_timestamp() if status is Status.DONE else null()
