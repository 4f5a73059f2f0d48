"""How often something may be done about one address in an hour, counted in the database for all processes.

The hour begins with the first time and ends for all of them together. Every call runs in its caller's transaction.
"""

from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, bindparam, case, delete
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.account_models import Allowance
from producer_service.clock import FromNow, now
from producer_service.upserts import dialect_of, insert_into

HOUR_SECONDS = 3600.0


class Spent(NamedTuple):
    """What became of one use of an allowance."""

    allowed: bool
    message_id: str | None
    """Of the last use that was allowed: this one's, if it was."""
    seconds: int
    """Until the allowance is whole again."""


async def spend(session: AsyncSession, key: bytes, *, most: int, message_id: str | None = None) -> Spent:
    """Use an allowance of `most` an hour once, in one statement, and tell whether it was there to be used.

    Waits for a use of the same allowance that is in progress. If the caller does not commit, nothing was used.
    """
    use = {"key": key, "message_id": message_id, "most": most}
    used, last, since, at = (await session.execute(_spend(dialect_of(session)), use)).one()
    left = HOUR_SECONDS - (at - since).total_seconds()
    return Spent(used <= most, last, max(1, round(left)))


@cache
def _spend(dialect: str) -> Any:
    most, over = bindparam("most", type_=Integer), Allowance.since <= FromNow(-HOUR_SECONDS)
    row = insert_into(dialect, Allowance).values(since=now(), used=1)
    return row.on_conflict_do_update(
        index_elements=[Allowance.key],
        set_={
            "since": case((over, row.excluded.since), else_=Allowance.since),
            "used": case((over, 1), (Allowance.used > most, Allowance.used), else_=Allowance.used + 1),
            "message_id": case((over | (Allowance.used < most), row.excluded.message_id), else_=Allowance.message_id),
        },
    ).returning(Allowance.used, Allowance.message_id, Allowance.since, now())


async def restore(session: AsyncSession, *keys: bytes) -> None:
    """Make allowances whole: whoever proved to be the owner of the address need not wait."""
    await session.execute(delete(Allowance).where(Allowance.key.in_(keys)).execution_options(synchronize_session=False))
