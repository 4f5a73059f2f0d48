"""One request, one answer: what an Idempotency-Key was answered is given again to whoever repeats the request.

The field is that of draft-ietf-httpapi-idempotency-key-header. The answer is committed with what the request has
recorded, so there is never the one without the other, and a request that died leaves nothing behind. What was refused
has recorded nothing and stores no answer: mended, it may come again under its key.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import structlog
from sqlalchemy import BigInteger, CursorResult, Table, bindparam, delete, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producer_service.clock import FromNow, now
from producer_service.database import DATABASE_ERRORS
from producer_service.ingestion_tables import StoredAnswer
from producer_service.trouble import describe

PURGED_AT_ONCE = 1000
"""Rows. Few enough for one short transaction."""


ANSWERS = cast("Table", StoredAnswer.__table__)

# Built once: that takes longer than running them.
TRY_LOCK = select(func.pg_try_advisory_xact_lock(bindparam("number", type_=BigInteger)))
"""Lock a key until the transaction ends; the lock of a process that died ends with its connection."""

STORED = select(ANSWERS.c.fingerprint, ANSWERS.c.status, ANSWERS.c.headers, ANSWERS.c.body).where(
    ANSWERS.c.client == bindparam("of_client"), ANSWERS.c.key == bindparam("of_key")
)
STORE = insert(ANSWERS).values(stored_at=now())

PURGE_SECONDS = 60.0
"""Between purges, while there is little to purge."""


class InProgress(Exception):
    """Another request with this key is being worked on."""


class KeyReused(Exception):
    """The key belongs to another request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to be carried out once: whose, under which key, and what it says."""

    client: str
    key: str
    fingerprint: bytes


def fingerprint(*parts: bytes) -> bytes:
    """Return what two requests have in common only if all these parts are the same."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()


class Turns:
    """Lets one request of a key through at a time, in this process. The database does so between processes."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._taken: set[tuple[str, str]] = set()

    @contextmanager
    def taken(self, once: Once | None) -> Iterator[None]:
        """Hold the turn of a key, if there is one. Raises InProgress while another request holds it."""
        if once is None:
            yield
            return
        turn = (once.client, once.key)
        if turn in self._taken:
            raise InProgress
        self._taken.add(turn)
        try:
            yield
        finally:
            self._taken.discard(turn)


async def stored_answer(session: AsyncSession, once: Once) -> Answer | None:
    """Return what this request was answered before, or None when it is the first; then its key is this transaction's.

    Raises InProgress while another transaction has the key, and KeyReused where it belongs to another request.
    """
    if session.get_bind().dialect.name == "postgresql" and not await session.scalar(
        TRY_LOCK, {"number": _number(once)}
    ):
        raise InProgress
    row = (await session.execute(STORED, {"of_client": once.client, "of_key": once.key})).one_or_none()
    if row is None:
        return None
    if row.fingerprint != once.fingerprint:
        raise KeyReused
    return Answer(row.status, row.headers, row.body)


def _number(once: Once) -> int:
    """Return the number that PostgreSQL knows the key's lock by: 64 bits of a hash, so that no two meet."""
    digest = fingerprint(b"idempotency", once.client.encode(), once.key.encode())
    return int.from_bytes(digest[:8], signed=True)


async def store_answer(session: AsyncSession, once: Once, answer: Answer) -> None:
    """Keep the answer, if this transaction commits."""
    row = {"client": once.client, "key": once.key, "fingerprint": once.fingerprint}
    answered = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
    await session.execute(STORE, {**row, **answered})


async def purge_answers(engine: AsyncEngine, older_than: timedelta, most: int = PURGED_AT_ONCE) -> int:
    """Delete at most `most` answers that are older than this; return how many. Waits for no row that is locked."""
    key = (StoredAnswer.client, StoredAnswer.key)
    old = (
        select(*key)
        .where(StoredAnswer.stored_at < FromNow(-older_than.total_seconds()))
        .order_by(StoredAnswer.stored_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    async with engine.begin() as connection:
        result: CursorResult[Any] = await connection.execute(delete(StoredAnswer).where(tuple_(*key).in_(old)))
    return result.rowcount


async def purge_again_and_again(engine: AsyncEngine, older_than: timedelta, *, every: float = PURGE_SECONDS) -> None:
    """Purge beside the requests, until cancelled. Trouble is logged, and tried again."""
    log: Any = structlog.get_logger()
    while True:
        try:
            purged = await purge_answers(engine, older_than)
        except DATABASE_ERRORS as error:
            purged = 0
            log.warning("answers.not_purged", error=describe(error))
        await asyncio.sleep(0 if purged == PURGED_AT_ONCE else every)
