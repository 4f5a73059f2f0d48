"""Verifying an address: the owner follows the link in the mail, or asks for another."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.accounts.asking import Asking, Kind, Owner, Wish
from producer_service.clock import now
from producer_service.models import User
from producer_service.proofs import redeem
from producer_service.refusals import ProofRefused
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.commands import SendMail
from shared.contracts import Contract
from shared.events import UserEmailVerified, UserVerificationRequested
from shared.proofs import VERIFY_EMAIL, VERIFY_EMAIL_LIFETIME, Proofs


class EmailVerifications:
    """Has links sent again, and takes them back."""

    def __init__(self, *, unit_of_work: Callable[[Travel], UnitOfWork], asking: Asking, proofs: Proofs) -> None:
        """`unit_of_work` opens one transaction for one request."""
        self._unit_of_work = unit_of_work
        self._asking = asking
        self._proofs = proofs

    async def request(self, wish: Wish, travel: Travel) -> str:
        """Have another link sent; the one before it is void. Return the id of the message recorded.

        An address that is verified gets a mail that says so.
        """
        return await self._asking.ask(Kind(VERIFY_EMAIL, _announced), wish, VERIFY_EMAIL, travel)

    async def redeem(self, token: str, travel: Travel) -> None:
        """Take a link's token: the address is verified, and that is announced once. Raises ProofRefused."""
        proof_id = self._proofs.read(token, purpose=VERIFY_EMAIL, lifetime=VERIFY_EMAIL_LIFETIME)
        if proof_id is None:
            raise ProofRefused
        async with self._unit_of_work(travel) as unit:
            user_id = await redeem(unit.session, purpose=VERIFY_EMAIL, proof_id=proof_id)
            verified = await verify(unit.session, user_id)
            if verified is not None:
                unit.record(verified)
            await unit.commit()


async def verify(session: AsyncSession, user_id: UUID) -> UserEmailVerified | None:
    """Note that a user's address is verified; return what announces it, or None if it was verified before."""
    unverified = update(User).where(User.id == user_id, User.email_verified_at.is_(None))
    noted = unverified.values(email_verified_at=now()).returning(User.id, User.email, User.name, User.locale)
    user: Row[UUID, str, str, str] | None = (
        await session.execute(noted.execution_options(synchronize_session=False))
    ).one_or_none()
    if user is None:
        return None
    return UserEmailVerified(user_id=user.id, email=user.email, name=user.name, locale=user.locale)


def _announced(owner: Owner, verification_id: UUID) -> Contract:
    if owner.is_verified:
        return SendMail(
            to=owner.email, template="already_verified", variables={"name": owner.name}, locale=owner.locale
        )
    return UserVerificationRequested(
        user_id=owner.user_id,
        email=owner.email,
        name=owner.name,
        locale=owner.locale,
        verification_id=verification_id,
    )
