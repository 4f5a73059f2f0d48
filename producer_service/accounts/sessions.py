"""Signing in and out. A session is an opaque bearer token of 256 random bits, of which only a hash is stored."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

import structlog
from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.account_models import UserSession
from producer_service.accounts.devices import Devices
from producer_service.accounts.resets import SIGNING_IN
from producer_service.addresses import Pseudonyms, email_key
from producer_service.allowances import restore, spend
from producer_service.clock import FromNow, now
from producer_service.models import User
from producer_service.passwords import Passwords
from producer_service.refusals import NoSession, SignInRefused, TooManyAttempts
from producer_service.unit_of_work import Travel, UnitOfWork
from producer_service.upserts import dialect_of, insert_into

USERS, SESSIONS = cast("Table", User.__table__), cast("Table", UserSession.__table__)

# Built once: that takes longer than running them.
SESSION = (
    select(SESSIONS.c.user_id, USERS.c.email_verified_at.is_not(None), SESSIONS.c.created_at, SESSIONS.c.expires_at)
    .join_from(SESSIONS, USERS)
    .where(SESSIONS.c.token_hash == bindparam("of_token_hash"), SESSIONS.c.expires_at > now())
)
PASSWORD = select(USERS.c.id, USERS.c.password_hash).where(USERS.c.email_key == bindparam("of_email_key"))


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What somebody signs in with. `device` is the mark from an earlier time, if the client has kept it."""

    email: str
    password: str
    device: str | None


@dataclass(frozen=True, slots=True, repr=False)
class SignedIn:
    """A new session. The token is told once, here."""

    token: str
    expires_at: datetime
    device: str


class CurrentSession(NamedTuple):
    """Whose a bearer token is, and for how long."""

    user_id: UUID
    email_verified: bool
    created_at: datetime
    expires_at: datetime


class Sessions:
    """Opens, finds and closes sessions.

    Attempts are counted before the password is looked at: `attempts_per_hour` for one address from devices that are
    not known, and as many for each known device. Nobody is locked out by it: known devices are not held up by
    strangers, a stranger's attempts hold up unknown devices for an hour at most, and whoever follows the link of a
    password reset may sign in at once.
    """

    def __init__(
        self,
        *,
        unit_of_work: Callable[[Travel], UnitOfWork],
        passwords: Passwords,
        pseudonyms: Pseudonyms,
        devices: Devices,
        attempts_per_hour: int,
        lifetime: timedelta,
    ) -> None:
        """`unit_of_work` opens one transaction for one request; `lifetime` is from signing in, whatever happens."""
        self._unit_of_work = unit_of_work
        self._passwords = passwords
        self._pseudonyms = pseudonyms
        self._devices = devices
        self._attempts_per_hour = attempts_per_hour
        self._lifetime = lifetime
        self._log: Any = structlog.get_logger()

    async def open(self, credentials: Credentials, travel: Travel) -> SignedIn:
        """Sign in. A hash with outdated parameters is replaced by one with today's.

        Raises SignInRefused for a wrong password and for an unknown address, which takes as long; TooManyAttempts
        alike for both; and Overloaded when too many passwords are being hashed.
        """
        key = self._allowance_of(credentials)
        user_id, password_hash = await self._count_attempt(credentials.email, key, travel)
        verified = await self._passwords.verify(credentials.password, password_hash)
        if user_id is None or password_hash is None or not verified.right:
            self._log.warning("session.refused", user_id=str(user_id))
            raise SignInRefused
        token = secrets.token_urlsafe(32)
        async with self._unit_of_work(travel) as unit:
            await _insist_on_hash(unit.session, user_id, password_hash, verified.renewed_hash or password_hash)
            expires_at = await _insert_session(unit.session, user_id, token, self._lifetime)
            await restore(unit.session, key)
            await unit.commit()
        self._log.info("session.opened", user_id=str(user_id), rehashed=verified.renewed_hash is not None)
        return SignedIn(token, expires_at, self._devices.mark(self._pseudonyms.of(credentials.email)))

    async def find(self, token: str, travel: Travel) -> CurrentSession:
        """Return whose session this is. Raises NoSession."""
        async with self._unit_of_work(travel) as unit:
            found = (await unit.session.execute(SESSION, {"of_token_hash": _hashed(token)})).one_or_none()
        if found is None:
            raise NoSession
        return CurrentSession(*found)

    async def close(self, token: str, travel: Travel) -> None:
        """Sign out. Raises NoSession when there is nothing to sign out from."""
        ended = delete(UserSession).where(UserSession.token_hash == _hashed(token), UserSession.expires_at > now())
        async with self._unit_of_work(travel) as unit:
            returned = ended.returning(UserSession.user_id).execution_options(synchronize_session=False)
            found = (await unit.session.execute(returned)).one_or_none()
            await unit.commit()
        if found is None:
            raise NoSession

    def _allowance_of(self, credentials: Credentials) -> bytes:
        holder = self._pseudonyms.of(credentials.email)
        device = self._devices.recognise(credentials.device, holder) if credentials.device else None
        return self._pseudonyms.of(credentials.email, f"{SIGNING_IN} from {device}" if device else SIGNING_IN)

    async def _count_attempt(self, email: str, key: bytes, travel: Travel) -> tuple[UUID | None, str | None]:
        """Count an attempt for good, and return the user it is about. Raises TooManyAttempts."""
        async with self._unit_of_work(travel) as unit:
            spent = await spend(unit.session, key, most=self._attempts_per_hour)
            found = (await unit.session.execute(PASSWORD, {"of_email_key": email_key(email)})).one_or_none()
            await unit.commit()
        if not spent.allowed:
            self._log.warning("session.too_many_attempts", user_id=str(found.id) if found else "None")
            raise TooManyAttempts(spent.seconds)
        return (None, None) if found is None else (found.id, found.password_hash)


async def _insist_on_hash(session: AsyncSession, user_id: UUID, verified_hash: str, new_hash: str) -> None:
    """Store the hash. Raises SignInRefused when the password was changed since it was verified.

    Locks the user's row, so that a change of the password, which ends all sessions, comes wholly before or after.
    """
    unchanged = update(User).where(User.id == user_id, User.password_hash == verified_hash)
    stored = unchanged.values(password_hash=new_hash).returning(User.id)
    if (await session.execute(stored.execution_options(synchronize_session=False))).one_or_none() is None:
        raise SignInRefused


async def _insert_session(session: AsyncSession, user_id: UUID, token: str, lifetime: timedelta) -> datetime:
    row = insert_into(dialect_of(session), UserSession).values(
        token_hash=_hashed(token), user_id=user_id, created_at=now(), expires_at=FromNow(lifetime.total_seconds())
    )
    expires_at: datetime = (await session.execute(row.returning(UserSession.expires_at))).scalar_one()
    return expires_at


def _hashed(token: str) -> bytes:
    """Return what is stored of a token. It is random, so a fast hash hides it as well as a slow one."""
    return hashlib.sha256(token.encode()).digest()
