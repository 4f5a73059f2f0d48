"""What the producer does for its users: the use cases."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import uuid_utils.compat
from sqlalchemy import Row, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.clock import now
from producer_service.models import User
from producer_service.passwords import Passwords
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.commands import SendMail
from shared.events import UserCreated


@dataclass(frozen=True, slots=True, repr=False)
class Registrant:
    """Somebody who wants an account, as validated where the request entered."""

    email: str
    password: str
    name: str
    locale: str


Owner = Row[UUID, str, str, str]
"""A user's id, address, name and locale."""


class Accounts:
    """Opens accounts, without telling a stranger which addresses have one."""

    def __init__(self, *, unit_of_work: Callable[[Travel], UnitOfWork], passwords: Passwords) -> None:
        """`unit_of_work` opens one transaction for one request."""
        self._unit_of_work = unit_of_work
        self._passwords = passwords

    async def register(self, registrant: Registrant, travel: Travel) -> str:
        """Register, or tell the owner of the address that somebody tried; return the id of the message recorded.

        Either way one password is hashed, the same statements run and one message is recorded, so neither the
        answer nor its time shows whether the address was known. Raises Overloaded when too many passwords are
        being hashed.
        """
        user_id = uuid_utils.compat.uuid7()
        password_hash = await self._passwords.hash(registrant.password)
        async with self._unit_of_work(travel) as unit:
            await _insert_unless_taken(unit.session, user_id, registrant, password_hash)
            owner = await _owner_of(unit.session, registrant.email)
            event_id = unit.record(_created(owner) if owner.id == user_id else _already_registered(owner))
            await unit.commit()
        return event_id


def email_key(email: str) -> str:
    """Return what two spellings of one address have in common."""
    return unicodedata.normalize("NFC", email.casefold())


async def _insert_unless_taken(session: AsyncSession, user_id: UUID, new: Registrant, password_hash: str) -> None:
    """Insert, or do nothing if the address is taken. Waits for a registration of the same address in progress."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(User).values(
        id=user_id,
        email=new.email,
        email_key=email_key(new.email),
        name=new.name,
        password_hash=password_hash,
        locale=new.locale,
        created_at=now(),
    )
    await session.execute(row.on_conflict_do_nothing(index_elements=[User.email_key]))


async def _owner_of(session: AsyncSession, email: str) -> Owner:
    owner = select(User.id, User.email, User.name, User.locale).where(User.email_key == email_key(email))
    return (await session.execute(owner)).one()


def _created(owner: Owner) -> UserCreated:
    return UserCreated(
        user_id=owner.id, email=owner.email, name=owner.name, locale=owner.locale, verification_id=uuid4()
    )


def _already_registered(owner: Owner) -> SendMail:
    """Write to the owner as the owner registered, not as the stranger typed."""
    return SendMail(to=owner.email, template="already_registered", variables={"name": owner.name}, locale=owner.locale)
