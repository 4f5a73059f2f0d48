"""Asking for a mail with a link or a code: what all three kinds of it have in common.

Whoever asks is anonymous, and may be anybody. So for a known and an unknown address the same statements run, one
message is recorded, in the same lane, and one mail is sent; an unknown address gets a neutral one, from which its
owner, who may have registered with another, learns why nothing else came. And no address gets more than so many of them
in an hour, whoever asks for them: after that the answer stays the same, and nothing is recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.addresses import Pseudonyms, email_key
from producer_service.allowances import spend
from producer_service.models import User
from producer_service.proofs import issue
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.commands import SendMail
from shared.contracts import Contract, Lane
from shared.proofs import bound, fingerprint

USERS = cast("Table", User.__table__)

# Built once: that takes longer than running it.
OWNER = select(USERS.c.id, USERS.c.email, USERS.c.name, USERS.c.locale, USERS.c.email_verified_at.is_not(None)).where(
    USERS.c.email_key == bindparam("of_email_key")
)


class Owner(NamedTuple):
    """The user to whom an address belongs."""

    user_id: UUID
    email: str
    name: str
    locale: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of mail that can be asked for: what to announce to the owner of the address, and with which proof."""

    derived_for: str
    """The purpose for which the consumer derives the token or the code."""
    announce: Callable[[Owner, UUID], Contract]


@dataclass(frozen=True, slots=True, repr=False)
class Wish:
    """Somebody asks for a mail to an address. `locale` is for an address that we do not know."""

    email: str
    locale: str


class Asking:
    """Records what was asked for, without telling a stranger which addresses have an account."""

    def __init__(
        self, *, unit_of_work: Callable[[Travel], UnitOfWork], pseudonyms: Pseudonyms, mails_per_hour: int
    ) -> None:
        """`unit_of_work` opens one transaction for one request; `mails_per_hour` is for one address, of all kinds."""
        self._unit_of_work = unit_of_work
        self._pseudonyms = pseudonyms
        self._mails_per_hour = mails_per_hour

    async def ask(self, kind: Kind, wish: Wish, purpose: str, travel: Travel) -> str:
        """Record one message and keep a proof for this purpose, which voids the one before; return the message's id.

        When the address has had its mails for this hour nothing changes, and the id is that of the last of them.
        """
        proof_id = uuid4()
        async with self._unit_of_work(travel) as unit:
            owner = await _owner_of(unit.session, wish.email)
            await issue(
                unit.session,
                holder=self._pseudonyms.of(wish.email),
                purpose=purpose,
                stored=fingerprint(kind.derived_for, bound(proof_id, owner.email if owner else wish.email)),
                user_id=owner.user_id if owner else None,
            )
            message = kind.announce(owner, proof_id) if owner else _no_account(wish)
            message_id = unit.record(message, lane=Lane.NORMAL)
            key = self._pseudonyms.of(wish.email, "asking")
            spent = await spend(unit.session, key, most=self._mails_per_hour, message_id=message_id)
            if spent.allowed:
                await unit.commit()
        return spent.message_id or message_id


async def _owner_of(session: AsyncSession, email: str) -> Owner | None:
    found = (await session.execute(OWNER, {"of_email_key": email_key(email)})).one_or_none()
    return None if found is None else Owner(*found)


def _no_account(wish: Wish) -> SendMail:
    return SendMail(to=wish.email, template="no_account", locale=wish.locale)
