"""Keys come and go: made, listed, replaced with an overlap, revoked. For operators; no request comes here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from producer_service.clock import FromNow, now
from producer_service.ingestion.keys import may_be_used, new_key
from producer_service.ingestion_tables import ApiKey


@dataclass(frozen=True, slots=True)
class Listed:
    """One key, without its secret, which nobody has but its client."""

    id: str
    client: str
    types: Sequence[str]
    sources: Sequence[str]
    rate: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NoSuchKey(Exception):
    """There is no key of this id, or it can no longer be used."""


class Issuing:
    """Every call is one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use this engine's pool."""
        self._engine = engine

    async def create(
        self, client: str, *, types: Sequence[str], sources: Sequence[str], rate: int, lasts: timedelta | None = None
    ) -> str:
        """Make a key for a client; return it whole, secret included. It is never seen again."""
        async with self._engine.begin() as connection:
            return await _insert(connection, client, types=list(types), sources=list(sources), rate=rate, lasts=lasts)

    async def rotate(self, key_id: str, *, overlap: timedelta, lasts: timedelta | None = None) -> str:
        """Make a key that may do what this one may, and let this one expire after the overlap. Raises NoSuchKey.

        Never makes a key last longer that would expire sooner.
        """
        alive = (ApiKey.id == key_id, may_be_used())
        async with self._engine.begin() as connection:
            old = (await connection.execute(select(ApiKey.__table__).where(*alive).with_for_update())).one_or_none()
            if old is None:
                raise NoSuchKey(f"{key_id}: there is no such key, or it was revoked or has expired")
            later = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > FromNow(overlap.total_seconds()))
            ends = update(ApiKey).where(ApiKey.id == key_id, later)
            await connection.execute(ends.values(expires_at=FromNow(overlap.total_seconds())))
            return await _insert(
                connection, old.client, types=old.types, sources=old.sources, rate=old.rate, lasts=lasts
            )

    async def revoke(self, key_id: str) -> None:
        """End a key. API processes notice within seconds. Raises NoSuchKey for one that is unknown or revoked."""
        revoked = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now())
        async with self._engine.begin() as connection:
            result: CursorResult[Any] = await connection.execute(revoked)
        if not result.rowcount:
            raise NoSuchKey(f"{key_id}: there is no such key, or it was revoked already")

    async def keys(self, *, also_dead: bool = False) -> Sequence[Listed]:
        """Return the keys that can be used, by client and age; if asked, those too that no longer can."""
        columns = [getattr(ApiKey, name) for name in Listed.__slots__]
        found = select(*columns).order_by(ApiKey.client, ApiKey.created_at, ApiKey.id)
        async with self._engine.connect() as connection:
            return [
                Listed(*row) for row in await connection.execute(found if also_dead else found.where(may_be_used()))
            ]


async def _insert(connection: AsyncConnection, client: str, *, lasts: timedelta | None, **may: Any) -> str:
    new = new_key()
    expires_at = FromNow(lasts.total_seconds()) if lasts else None
    row = {"id": new.id, "client": client, "secret_hash": new.secret_hash, "expires_at": expires_at}
    await connection.execute(insert(ApiKey).values(**row, **may))
    return new.text
