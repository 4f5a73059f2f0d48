"""Verification codes: six digits by mail, for whatever purpose the asking application has."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from producer_service.accounts.asking import Asking, Kind, Owner, Wish
from producer_service.addresses import Pseudonyms
from producer_service.allowances import spend
from producer_service.proofs import Guessed, consume_code, count_guess
from producer_service.refusals import ProofRefused
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.events import UserVerificationCodeRequested
from shared.proofs import VERIFICATION_CODE, Proofs

GUESSES_PER_HOUR = 10
"""About one address, for all its codes. With twelve codes of a million right at a time, whoever guesses all year long
finds one with odds of two to one, and has mailed the owner 17,000 codes by then; in a day, of 1 to 350."""


class VerificationCodes:
    """Has codes sent, and checks them."""

    def __init__(
        self, *, unit_of_work: Callable[[Travel], UnitOfWork], asking: Asking, proofs: Proofs, pseudonyms: Pseudonyms
    ) -> None:
        """`unit_of_work` opens one transaction for one request."""
        self._unit_of_work = unit_of_work
        self._asking = asking
        self._proofs = proofs
        self._pseudonyms = pseudonyms

    async def request(self, wish: Wish, purpose: str, travel: Travel) -> str:
        """Have a code sent; the one before it for this purpose is void. Return the id of the message recorded."""
        return await self._asking.ask(Kind(VERIFICATION_CODE, _announced), wish, _kept_as(purpose), travel)

    async def check(self, email: str, purpose: str, code: str, travel: Travel) -> None:
        """Take a code, once. Raises ProofRefused when it is not the one that was sent for this purpose.

        The guess is counted before it is compared, and nobody learns the result before the count is committed: any
        number of guesses at once are as many as one after another.
        """
        holder = self._pseudonyms.of(email)
        async with self._unit_of_work(travel) as unit:
            key = self._pseudonyms.of(email, "guessing")
            spent = await spend(unit.session, key, most=GUESSES_PER_HOUR)
            guessed = await count_guess(unit.session, holder=holder, purpose=_kept_as(purpose))
            right = self._is_right(code, guessed) and spent.allowed
            if guessed is not None and right:
                await consume_code(unit.session, guessed.fingerprint)
            await unit.commit()
        if not right:
            raise ProofRefused

    def _is_right(self, code: str, guessed: Guessed | None) -> bool:
        """Compare, also where there is nothing to compare with, so that it takes as long."""
        stored = guessed.fingerprint if guessed else bytes(32)
        is_code = self._proofs.is_code(code, stored, datetime.now(UTC))
        return is_code and guessed is not None and guessed.user_id is not None


def _kept_as(purpose: str) -> str:
    """Keep what a caller may name apart from our own purposes."""
    return f"{VERIFICATION_CODE}:{purpose}"


def _announced(owner: Owner, code_id: UUID) -> UserVerificationCodeRequested:
    return UserVerificationCodeRequested(
        user_id=owner.user_id, email=owner.email, name=owner.name, locale=owner.locale, code_id=code_id
    )
