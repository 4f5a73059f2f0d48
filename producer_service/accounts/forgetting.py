"""Deleting what nobody can use any more: proofs, sessions and allowances that are over."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import Delete, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.account_models import Allowance, Proof, UserSession
from producer_service.allowances import HOUR_SECONDS
from producer_service.clock import FromNow, now
from producer_service.database import DATABASE_ERRORS
from producer_service.proofs import KEPT_FROM_REQUEST

AT_ONCE = 1000
"""Rows of each table. Few enough for one short transaction."""

EVERY_SECONDS = 60.0
LONGEST_KEPT: timedelta = max(KEPT_FROM_REQUEST.values())


class Forgetting:
    """Deletes in small bites, and never waits for a row that somebody else has locked."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use this engine's pool."""
        self._engine = engine

    async def forget(self, at_once: int = AT_ONCE) -> int:
        """Delete at most `at_once` rows of each table; return how many of all."""
        async with self._engine.begin() as connection:
            results = [await connection.execute(statement) for statement in _over(at_once)]
        return sum(result.rowcount for result in results)

    async def keep_forgetting(self, *, every: float = EVERY_SECONDS, at_once: int = AT_ONCE) -> None:
        """Forget again and again, until cancelled; after a whole bite, another at once.

        A database that is away is asked again the next time.
        """
        while True:
            forgotten = 0
            try:
                if forgotten := await self.forget(at_once):
                    structlog.get_logger().info("accounts.forgotten", count=forgotten)
            except DATABASE_ERRORS as error:
                structlog.get_logger().warning("accounts.not_forgotten", error=type(error).__name__)
            await asyncio.sleep(0 if forgotten >= at_once else every)


def _over(at_once: int) -> tuple[Delete, Delete, Delete]:
    old = select(Proof.fingerprint).where(Proof.created_at < FromNow(-LONGEST_KEPT.total_seconds()))
    expired = select(UserSession.token_hash).where(UserSession.expires_at < now())
    whole = select(Allowance.key).where(Allowance.since < FromNow(-HOUR_SECONDS))
    some = [rows.limit(at_once).with_for_update(skip_locked=True) for rows in (old, expired, whole)]
    return (
        delete(Proof).where(Proof.fingerprint.in_(some[0])),
        delete(UserSession).where(UserSession.token_hash.in_(some[1])),
        delete(Allowance).where(Allowance.key.in_(some[2])),
    )
