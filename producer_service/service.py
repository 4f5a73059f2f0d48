"""What the producer does for its users: registering. What they do afterwards is in `accounts`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import uuid_utils.compat
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.addresses import Pseudonyms, email_key
from producer_service.allowances import spend
from producer_service.clock import now
from producer_service.models import User
from producer_service.password_policy import PasswordPolicy
from producer_service.passwords import Passwords
from producer_service.proofs import issue
from producer_service.unit_of_work import Travel, UnitOfWork
from producer_service.upserts import dialect_of, insert_into
from shared.commands import SendMail
from shared.contracts import Lane
from shared.events import UserCreated
from shared.proofs import VERIFY_EMAIL, bound, fingerprint

NO_PURPOSE = "nothing"
"""Of a proof that is kept only because keeping it costs the same as keeping a new user's."""


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

    def __init__(
        self,
        *,
        unit_of_work: Callable[[Travel], UnitOfWork],
        passwords: Passwords,
        policy: PasswordPolicy,
        pseudonyms: Pseudonyms,
        mails_per_hour: int,
    ) -> None:
        """`unit_of_work` opens one transaction for one request; `mails_per_hour` is for one address."""
        self._unit_of_work = unit_of_work
        self._passwords = passwords
        self._policy = policy
        self._pseudonyms = pseudonyms
        self._mails_per_hour = mails_per_hour

    async def register(self, registrant: Registrant, travel: Travel) -> str:
        """Register, or tell the owner of the address that somebody tried; return the id of the message recorded.

        Either way one password is hashed, the same statements run and one message is recorded, in the same lane, so
        neither the answer, nor its time, nor how soon the message is published shows whether the address was known.
        Only `mails_per_hour` messages are recorded about one address, whoever asks; after that nothing is, and the id
        is that of the last. A new user's always is.
        Raises WeakPassword, and Overloaded when too many passwords are being hashed.
        """
        self._policy.insist(registrant.password, about=(registrant.email, registrant.name))
        user_id, verification_id = uuid_utils.compat.uuid7(), uuid4()
        password_hash = await self._passwords.hash(registrant.password)
        async with self._unit_of_work(travel) as unit:
            owner = await _insert_or_find(unit.session, user_id, registrant, password_hash)
            is_new = owner.id == user_id
            await self._keep_proof(unit.session, owner, verification_id, VERIFY_EMAIL if is_new else NO_PURPOSE)
            message = _created(owner, verification_id) if is_new else _already_registered(owner)
            event_id = unit.record(message, lane=Lane.NORMAL)
            key = self._pseudonyms.of(registrant.email, "registering")
            spent = await spend(unit.session, key, most=self._mails_per_hour, message_id=event_id)
            if is_new or spent.allowed:
                await unit.commit()
                return event_id
        return spent.message_id or event_id

    async def _keep_proof(self, session: AsyncSession, owner: Owner, proof_id: UUID, purpose: str) -> None:
        holder, stored = self._pseudonyms.of(owner.email), fingerprint(purpose, bound(proof_id, owner.email))
        await issue(session, holder=holder, purpose=purpose, stored=stored, user_id=owner.id)


async def _insert_or_find(session: AsyncSession, user_id: UUID, new: Registrant, password_hash: str) -> Owner:
    """Insert, and return whose the address is: the new user's, or that of whoever registered it before.

    Waits for a registration of the same address in progress.
    """
    user = {
        "id": user_id,
        "email": new.email,
        "email_key": email_key(new.email),
        "name": new.name,
        "password_hash": password_hash,
        "locale": new.locale,
    }
    return (await session.execute(_insert(dialect_of(session)), user)).one()


@cache
def _insert(dialect: str) -> Any:
    """Write the row of a known user as well, unchanged: so it is returned, and a known address costs a write, too.

    What is written is no key, for then nobody who refers to the user meanwhile has to wait.
    """
    row = insert_into(dialect, User).values(created_at=now())
    unchanged = row.on_conflict_do_update(index_elements=[User.email_key], set_={"locale": User.locale})
    return unchanged.returning(User.id, User.email, User.name, User.locale)


def _created(owner: Owner, verification_id: UUID) -> UserCreated:
    return UserCreated(
        user_id=owner.id, email=owner.email, name=owner.name, locale=owner.locale, verification_id=verification_id
    )


def _already_registered(owner: Owner) -> SendMail:
    """Write to the owner as the owner registered, not as the stranger typed."""
    return SendMail(to=owner.email, template="already_registered", variables={"name": owner.name}, locale=owner.locale)
