"""API keys: how they are written, and who a presented one belongs to."""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.clock import UtcDateTime, now
from producer_service.database import DATABASE_ERRORS
from producer_service.ingestion.scopes import Scope
from producer_service.ingestion_tables import ApiKey
from producer_service.trouble import describe

WRITTEN = re.compile(r"tdk_([0-9a-f]{12})_([0-9a-f]{64})")
"""A word that scanners for leaked secrets can look for, the id, which is no secret, and 256 random bits."""

REMEMBERED_SECONDS = 5.0
"""So long a key that was revoked may still be taken, and a request need not ask the database whose key it is."""

MOST_REMEMBERED = 10_000
NOTE_SECONDS = 60.0
"""Between two writes of when a key was last used."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that may be used now: whose it is, and what it may do."""

    id: str
    client: str
    scope: Scope
    rate: int


@dataclass(frozen=True, slots=True, repr=False)
class NewKey:
    """A key at its birth: the only moment at which its secret is known here."""

    id: str
    text: str
    secret_hash: bytes


@dataclass(frozen=True, slots=True, repr=False)
class _Remembered:
    key: Key
    secret_hash: bytes
    until: float


def new_key() -> NewKey:
    """Return a key that nobody has."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    return NewKey(key_id, f"tdk_{key_id}_{secret}", _hash(secret))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class KeyRing:
    """Tells whose key was presented, and notes when it was last used, beside the requests."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float] = monotonic) -> None:
        """Use this engine's pool; `clock` in seconds."""
        self._engine = engine
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._used: dict[str, datetime] = {}
        self._log: Any = structlog.get_logger()

    async def find(self, presented: str) -> Key | None:
        """Return the key, or None for one that is unknown, wrong, expired or revoked. Asks the database now and then.

        Takes up to REMEMBERED_SECONDS to notice that a key was revoked or has expired.
        """
        written = WRITTEN.fullmatch(presented)
        known = await self._known(written[1]) if written else None
        if written is None or known is None or not hmac.compare_digest(_hash(written[2]), known.secret_hash):
            return None
        self._used[known.key.id] = datetime.now(UTC)
        return known.key

    async def _known(self, key_id: str) -> _Remembered | None:
        known = self._remembered.get(key_id)
        if known and self._clock() < known.until:
            return known
        known = await self._read(key_id)
        self._remembered.pop(key_id, None)
        if known:
            self._remember(key_id, known)
        return known

    def _remember(self, key_id: str, known: _Remembered) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key_id] = known

    async def _read(self, key_id: str) -> _Remembered | None:
        columns = (ApiKey.client, ApiKey.types, ApiKey.sources, ApiKey.rate, ApiKey.secret_hash)
        until = self._clock() + REMEMBERED_SECONDS
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*columns).where(ApiKey.id == key_id, may_be_used()))).one_or_none()
        if row is None:
            return None
        return _Remembered(Key(key_id, row.client, Scope(row.types, row.sources), row.rate), row.secret_hash, until)

    async def keep_notes(self, *, every: float = NOTE_SECONDS) -> None:
        """Write down again and again, until cancelled, and once more then, when keys were last used."""
        try:
            while True:
                await asyncio.sleep(every)
                await self.write_notes()
        finally:
            await self.write_notes()

    async def write_notes(self) -> None:
        """Write down when keys were last used, since the last time that this was written. Trouble is logged."""
        try:
            await self._write_notes()
        except DATABASE_ERRORS as error:
            self._log.warning("api_keys.not_noted", error=describe(error))

    async def _write_notes(self) -> None:
        written = dict(self._used)
        if not written:
            return
        used_at = bindparam("used_at", type_=UtcDateTime)
        later = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < used_at)
        noted = update(ApiKey).where(ApiKey.id == bindparam("of_key"), later).values(last_used_at=used_at)
        async with self._engine.begin() as connection:
            await connection.execute(noted, [{"of_key": key_id, "used_at": at} for key_id, at in written.items()])
        self._used = {key_id: at for key_id, at in self._used.items() if at != written.get(key_id)}


def may_be_used() -> ColumnElement[bool]:
    """Return the condition that a key was not revoked, and has not expired."""
    return and_(ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now()))
