"""Setting a new password: the owner of the address follows the link in the mail."""

from collections.abc import Callable
from uuid import UUID

import structlog
from sqlalchemy import Row, delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.account_models import UserSession
from producer_service.accounts.asking import Asking, Kind, Owner, Wish
from producer_service.accounts.verifications import verify
from producer_service.addresses import Pseudonyms
from producer_service.allowances import restore
from producer_service.models import User
from producer_service.password_policy import PasswordPolicy
from producer_service.passwords import Passwords
from producer_service.proofs import redeem
from producer_service.refusals import ProofRefused
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.events import UserPasswordChanged, UserPasswordResetRequested
from shared.proofs import RESET_PASSWORD, RESET_PASSWORD_LIFETIME, Proofs

SIGNING_IN = "signing in"
"""The role of an address whose attempts to sign in are counted."""


class PasswordResets:
    """Has links sent, and takes them back with a new password."""

    def __init__(
        self,
        *,
        unit_of_work: Callable[[Travel], UnitOfWork],
        asking: Asking,
        proofs: Proofs,
        passwords: Passwords,
        policy: PasswordPolicy,
        pseudonyms: Pseudonyms,
    ) -> None:
        """`unit_of_work` opens one transaction for one request."""
        self._unit_of_work = unit_of_work
        self._asking = asking
        self._proofs = proofs
        self._passwords = passwords
        self._policy = policy
        self._pseudonyms = pseudonyms

    async def request(self, wish: Wish, travel: Travel) -> str:
        """Have a link sent; the one before it is void. Return the id of the message recorded."""
        return await self._asking.ask(Kind(RESET_PASSWORD, _announced), wish, RESET_PASSWORD, travel)

    async def redeem(self, token: str, password: str, travel: Travel) -> None:
        """Take a link's token and set the password. Every session ends, and the owner is told by mail.

        The link was sent to the address, so the address is verified as well. Raises ProofRefused; WeakPassword, after
        which the link is still good; and Overloaded when too many passwords are being hashed.
        """
        proof_id = self._proofs.read(token, purpose=RESET_PASSWORD, lifetime=RESET_PASSWORD_LIFETIME)
        if proof_id is None:
            raise ProofRefused
        self._policy.insist(password, about=())
        password_hash = await self._passwords.hash(password)
        async with self._unit_of_work(travel) as unit:
            user_id = await redeem(unit.session, purpose=RESET_PASSWORD, proof_id=proof_id)
            user = await _set_password(unit.session, user_id, password_hash)
            self._policy.insist(password, about=(user.email, user.name))
            await restore(unit.session, self._pseudonyms.of(user.email, SIGNING_IN))
            unit.record(UserPasswordChanged(user_id=user.id, email=user.email, name=user.name, locale=user.locale))
            if verified := await verify(unit.session, user_id):
                unit.record(verified)
            await unit.commit()
        structlog.get_logger().info("password.changed", user_id=str(user_id))


async def _set_password(session: AsyncSession, user_id: UUID, password_hash: str) -> Row[UUID, str, str, str]:
    """Change the password and end every session; whoever is just signing in with the old one waits, and fails."""
    changed = update(User).where(User.id == user_id).values(password_hash=password_hash)
    returning = changed.returning(User.id, User.email, User.name, User.locale)
    user = (await session.execute(returning.execution_options(synchronize_session=False))).one()
    ended = delete(UserSession).where(UserSession.user_id == user_id)
    await session.execute(ended.execution_options(synchronize_session=False))
    return user


def _announced(owner: Owner, reset_id: UUID) -> UserPasswordResetRequested:
    return UserPasswordResetRequested(
        user_id=owner.user_id, email=owner.email, name=owner.name, locale=owner.locale, reset_id=reset_id
    )
