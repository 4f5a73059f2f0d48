"""Links and codes that were asked for: kept as fingerprints, redeemed once.

Whether a token was signed and a code derived by us is for `shared.proofs` to say; here is whether it still holds. Every
call runs in its caller's transaction.
"""

from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Update, update
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.account_models import Proof
from producer_service.clock import FromNow, now
from producer_service.refusals import ProofRefused
from producer_service.upserts import dialect_of, insert_into
from shared.proofs import CODE_LIFETIME, CODE_SENT_WITHIN, CODE_STEP, RESET_PASSWORD, VERIFY_EMAIL, fingerprint

KEPT_FROM_REQUEST = {VERIFY_EMAIL: timedelta(days=30), RESET_PASSWORD: timedelta(hours=24)}
"""How long after the request a link can be redeemed at all, however late its mail was sent. A verification outlasts
every dead letter that can be replayed; a reset outlasts the retries of its mail, and no more."""

CODE_KEPT_FROM_REQUEST = CODE_SENT_WITHIN + CODE_LIFETIME + CODE_STEP

GUESSES = 5
"""For one code. Of a million, twelve are right at a time, so that five guesses find one with odds of 1 to 17,000."""


class Guessed(NamedTuple):
    """A code that somebody has just tried to guess."""

    fingerprint: bytes
    user_id: UUID | None


async def issue(session: AsyncSession, *, holder: bytes, purpose: str, stored: bytes, user_id: UUID | None) -> None:
    """Keep what was asked for by its fingerprint. What was asked for before, here and for this purpose, is void."""
    proof = {"holder": holder, "purpose": purpose, "fingerprint": stored, "user_id": user_id}
    await session.execute(_issue(dialect_of(session)), proof)


@cache
def _issue(dialect: str) -> Any:
    row = insert_into(dialect, Proof).values(created_at=now())
    renewed = {name: row.excluded[name] for name in ("fingerprint", "user_id", "created_at")}
    return row.on_conflict_do_update(
        index_elements=[Proof.holder, Proof.purpose], set_={**renewed, "attempts": 0, "consumed_at": None}
    )


async def redeem(session: AsyncSession, *, purpose: str, proof_id: UUID) -> UUID:
    """Consume a link and return whose it is. Of any number at once, one succeeds.

    Raises ProofRefused when it was consumed or replaced, or was never for this purpose.
    """
    row = _usable(KEPT_FROM_REQUEST[purpose]).where(
        Proof.fingerprint == fingerprint(purpose, proof_id), Proof.purpose == purpose
    )
    return await _consume(session, row)


async def count_guess(session: AsyncSession, *, holder: bytes, purpose: str) -> Guessed | None:
    """Count one guess and return the code it is about, or None when there is none or it was guessed at too often.

    The row stays locked until the transaction ends, so parallel guesses are counted one after another.
    """
    row = _usable(CODE_KEPT_FROM_REQUEST).where(
        Proof.holder == holder, Proof.purpose == purpose, Proof.attempts < GUESSES
    )
    counted = row.values(attempts=Proof.attempts + 1).returning(Proof.fingerprint, Proof.user_id)
    found = (await session.execute(counted)).one_or_none()
    return None if found is None else Guessed(*found)


async def consume_code(session: AsyncSession, stored: bytes) -> UUID:
    """Consume a code that was guessed right, and return whose it is. Raises ProofRefused for a stranger's."""
    return await _consume(session, _usable(CODE_KEPT_FROM_REQUEST).where(Proof.fingerprint == stored))


def _usable(kept: timedelta) -> Update:
    """Return an update of what is not consumed and not too old."""
    return (
        update(Proof)
        .where(Proof.consumed_at.is_(None), Proof.created_at > FromNow(-kept.total_seconds()))
        .execution_options(synchronize_session=False)
    )


async def _consume(session: AsyncSession, row: Update) -> UUID:
    consumed = row.where(Proof.user_id.is_not(None)).values(consumed_at=now()).returning(Proof.user_id)
    user_id: UUID | None = (await session.execute(consumed)).scalar_one_or_none()
    if user_id is None:
        raise ProofRefused
    return user_id
