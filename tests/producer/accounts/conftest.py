"""Nouns of accounts: the use cases on a migrated database, a user who has registered, and what mails would hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from support.mails import LINK_SECRET

from producer_service.account_models import Allowance, Proof, UserSession
from producer_service.accounts.asking import Wish
from producer_service.accounts.composition import Limits, Parts, build_registering, build_use_cases
from producer_service.models import User
from producer_service.password_policy import PasswordPolicy
from producer_service.passwords import Passwords
from producer_service.service import Registrant
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.commands import COMMANDS
from shared.envelope import EnvelopeReader
from shared.events import EVENTS
from shared.proofs import RESET_PASSWORD, VERIFICATION_CODE, VERIFY_EMAIL, Proofs, bound, fingerprint
from shared.transport import Message

CHEAP = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))
ANN = "ann@example.org"
PASSWORD = "correct horse"
PROOFS = Proofs(LINK_SECRET)
READER = EnvelopeReader((*EVENTS, *COMMANDS))
LIMITS = Limits(mails_per_hour=3, sign_ins_per_hour=3, session_lifetime=timedelta(hours=1))


@pytest.fixture
def parts(engine):
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    def unit_of_work(travel):
        return UnitOfWork(sessions=sessions, source="/here", travel=travel, committed=lambda _lanes: None)

    passwords, policy = Passwords(hasher=CHEAP, at_once=4), PasswordPolicy(known_words=["tidings"])
    return Parts(unit_of_work, passwords, policy, LINK_SECRET, LIMITS)


@pytest.fixture
def use_cases(parts):
    return build_use_cases(parts)


@pytest.fixture
def registered(parts):
    """Register somebody, and return the user's id."""

    async def registered(email=ANN, **changes):
        fields = {"email": email, "password": PASSWORD, "name": "Ann", "locale": "de"}
        await build_registering(parts).register(Registrant(**(fields | changes)), Travel())
        async with parts.unit_of_work(Travel()) as unit:
            return (await unit.session.scalars(select(User.id).where(User.email == email))).one()

    return registered


@pytest.fixture
async def ann(registered):
    return await registered()


@pytest.fixture
def messages(rows):
    """Read what was recorded, in order."""

    async def messages():
        return [READER.read(Message(body=row.payload)).data for row in await rows()]

    return messages


@pytest.fixture
def mailed(messages):
    """Return the token or code that the last mail holds, derived as the consumer does, now or at another moment."""

    async def mailed(sent_at=None):
        last = (await messages())[-1]
        if hasattr(last, "code_id"):
            return PROOFS.code(
                fingerprint(VERIFICATION_CODE, bound(last.code_id, last.email)), sent_at or datetime.now(UTC)
            )
        if hasattr(last, "reset_id"):
            return PROOFS.token(RESET_PASSWORD, bound(last.reset_id, last.email))
        return PROOFS.token(VERIFY_EMAIL, bound(last.verification_id, last.email))

    return mailed


@pytest.fixture
def user(engine):
    async def user(email=ANN) -> Any:
        async with AsyncSession(engine) as session:
            return (await session.scalars(select(User).where(User.email == email))).one()

    return user


@pytest.fixture
def count(engine):
    """Count the rows of a table."""

    async def count(table) -> int:
        async with engine.connect() as connection:
            return (await connection.execute(select(func.count()).select_from(table))).scalar_one()

    return count


@pytest.fixture
def ages(engine):
    """Let time pass for everything that is kept about accounts."""

    async def ages(by: timedelta) -> None:
        moments = {Proof: ("created_at",), Allowance: ("since",), UserSession: ("created_at", "expires_at")}
        async with AsyncSession(engine) as session, session.begin():
            for table, columns in moments.items():
                for row in (await session.scalars(select(table))).all():
                    for column in columns:
                        setattr(row, column, getattr(row, column) - by)

    return ages


@pytest.fixture
def change_user(engine):
    async def change_user(**values: Any) -> None:
        async with engine.begin() as connection:
            await connection.execute(update(User).values(**values))

    return change_user


def a_wish(email=ANN, locale="en"):
    return Wish(email, locale)
