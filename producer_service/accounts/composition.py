"""How the use cases of accounts are put together."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from fastapi import FastAPI

from producer_service.accounts.asking import Asking
from producer_service.accounts.codes import VerificationCodes
from producer_service.accounts.devices import Devices
from producer_service.accounts.problems import install_refusals
from producer_service.accounts.resets import PasswordResets
from producer_service.accounts.routes import UseCases, build_account_routes
from producer_service.accounts.sessions import Sessions
from producer_service.accounts.verifications import EmailVerifications
from producer_service.addresses import Pseudonyms
from producer_service.high_water import HighWater
from producer_service.password_policy import PasswordPolicy
from producer_service.passwords import Passwords
from producer_service.service import Accounts
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.proofs import Proofs


@dataclass(frozen=True, slots=True)
class Limits:
    """How often, and how long."""

    mails_per_hour: int
    sign_ins_per_hour: int
    session_lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Parts:
    """What the use cases of accounts share. `secret` signs links and marks, and makes pseudonyms of addresses."""

    unit_of_work: Callable[[Travel], UnitOfWork]
    passwords: Passwords
    policy: PasswordPolicy
    secret: str
    limits: Limits


def build_registering(parts: Parts) -> Accounts:
    """Return what registers users."""
    return Accounts(
        unit_of_work=parts.unit_of_work,
        passwords=parts.passwords,
        policy=parts.policy,
        pseudonyms=Pseudonyms(parts.secret),
        mails_per_hour=parts.limits.mails_per_hour,
    )


def build_use_cases(parts: Parts) -> UseCases:
    """Return everything else that users do. Raises ValueError when the secret is too short."""
    begun, proofs, pseudonyms = parts.unit_of_work, Proofs(parts.secret), Pseudonyms(parts.secret)
    asking = Asking(unit_of_work=begun, pseudonyms=pseudonyms, mails_per_hour=parts.limits.mails_per_hour)
    return UseCases(
        verifications=EmailVerifications(unit_of_work=begun, asking=asking, proofs=proofs),
        resets=PasswordResets(
            unit_of_work=begun,
            asking=asking,
            proofs=proofs,
            passwords=parts.passwords,
            policy=parts.policy,
            pseudonyms=pseudonyms,
        ),
        codes=VerificationCodes(unit_of_work=begun, asking=asking, proofs=proofs, pseudonyms=pseudonyms),
        sessions=Sessions(
            unit_of_work=begun,
            passwords=parts.passwords,
            pseudonyms=pseudonyms,
            devices=Devices(parts.secret),
            attempts_per_hour=parts.limits.sign_ins_per_hour,
            lifetime=parts.limits.session_lifetime,
        ),
    )


def include_accounts(app: FastAPI, parts: Parts, *, high_water: HighWater) -> None:
    """Give an app the routes of accounts, and an answer for each of their refusals."""
    install_refusals(app)
    app.include_router(build_account_routes(use_cases=build_use_cases(parts), high_water=high_water))
