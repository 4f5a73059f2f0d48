import asyncio

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from support.databases import on_sqlite
from support.mails import LINK_SECRET
from support.statements import statements_of

from producer_service.addresses import Pseudonyms
from producer_service.models import User
from producer_service.password_policy import PasswordPolicy
from producer_service.passwords import Overloaded, Passwords
from producer_service.service import Accounts, Registrant
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.commands import COMMANDS, SendMail
from shared.contracts import Lane
from shared.envelope import EnvelopeReader
from shared.events import EVENTS, UserCreated
from shared.transport import Message

CHEAP = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))
READER = EnvelopeReader((*EVENTS, *COMMANDS))


def a_registrant(**changes):
    fields = {"email": "Ann@Example.org", "password": "correct horse", "name": "Ann", "locale": "de"}
    return Registrant(**(fields | changes))


class CountingPasswords:
    """Hashes nothing, and counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    async def hash(self, password):
        self.asked += 1
        return f"hash of {len(password)}"


class FullPasswords:
    """Has no time for anybody."""

    async def hash(self, password):
        raise Overloaded(f"{len(password)} characters too many")


@pytest.fixture
def make_accounts(engine):
    def make_accounts(passwords=None):
        sessions = async_sessionmaker(engine, expire_on_commit=False)

        def unit_of_work(travel):
            return UnitOfWork(sessions=sessions, source="/here", travel=travel, committed=lambda _lanes: None)

        return Accounts(
            unit_of_work=unit_of_work,
            passwords=passwords or Passwords(hasher=CHEAP, at_once=2),
            policy=PasswordPolicy(known_words=["tidings"]),
            pseudonyms=Pseudonyms(LINK_SECRET),
            mails_per_hour=5,
        )

    return make_accounts


@pytest.fixture
def users(engine):
    async def users():
        async with AsyncSession(engine) as session:
            return (await session.scalars(select(User))).all()

    return users


@pytest.fixture
def messages(rows):
    """Read what was recorded, in order."""

    async def messages():
        return [READER.read(Message(body=row.payload)) for row in await rows()]

    return messages


async def test_a_new_address_becomes_a_user(make_accounts, users):
    await make_accounts().register(a_registrant(), Travel())

    (user,) = await users()
    assert (user.email, user.email_key, user.name, user.locale) == ("Ann@Example.org", "ann@example.org", "Ann", "de")
    assert user.email_verified_at is None
    assert CHEAP.verify("correct horse", user.password_hash)


async def test_a_new_user_is_announced_under_the_id_returned(make_accounts, users, messages):
    event_id = await make_accounts().register(a_registrant(), Travel(correlation_id="c-1"))

    (envelope,) = await messages()
    (user,) = await users()
    assert (envelope.id, envelope.correlation_id, type(envelope.data)) == (event_id, "c-1", UserCreated)
    assert (envelope.data.user_id, envelope.data.email, envelope.data.locale) == (user.id, "Ann@Example.org", "de")


async def test_every_registration_has_a_verification_of_its_own(make_accounts, messages):
    for name in ("ann", "bob"):
        await make_accounts().register(a_registrant(email=f"{name}@example.org"), Travel())

    first, second = await messages()
    assert first.data.verification_id != second.data.verification_id


async def test_the_owner_of_a_known_address_gets_a_mail_as_registered(make_accounts, users, messages):
    await make_accounts().register(a_registrant(), Travel())
    stranger = a_registrant(email="ANN@example.ORG", name="Mallory", locale="fr", password="something else")

    event_id = await make_accounts().register(stranger, Travel())

    envelope = (await messages())[1]
    told = SendMail(to="Ann@Example.org", template="already_registered", variables={"name": "Ann"}, locale="de")
    assert (envelope.id, envelope.data) == (event_id, told)
    assert [(user.email, user.name, user.locale) for user in await users()] == [("Ann@Example.org", "Ann", "de")]


async def test_a_known_address_costs_the_same_hash_and_the_same_row_in_the_same_lane(make_accounts, rows):
    passwords = CountingPasswords()
    for _ in range(2):
        await make_accounts(passwords).register(a_registrant(), Travel())

    assert passwords.asked == 2
    assert [(row.status, row.lane) for row in await rows()] == [("pending", Lane.NORMAL), ("pending", Lane.NORMAL)]


async def test_the_same_statements_run_for_a_known_and_an_unknown_address(make_accounts, engine):
    said = []
    for _ in range(2):
        with statements_of(engine) as statements:
            await make_accounts().register(a_registrant(), Travel())
        said.append(statements)

    assert said[0] == said[1]
    assert said[0][-1] == "COMMIT"
    assert len(said[0]) == 5


async def test_a_crowd_with_one_address_makes_one_user(make_accounts, users, messages):
    accounts = make_accounts()

    await asyncio.gather(*(accounts.register(a_registrant(), Travel()) for _ in range(8)))

    assert len(await users()) == 1
    kinds = [type(envelope.data) for envelope in await messages()]
    assert (kinds.count(UserCreated), kinds.count(SendMail)) == (1, 4)


async def test_a_password_that_cannot_be_hashed_leaves_nothing_behind(make_accounts, users, rows):
    with pytest.raises(Overloaded):
        await make_accounts(FullPasswords()).register(a_registrant(), Travel())

    assert (list(await users()), await rows()) == ([], [])


@on_sqlite
async def test_neither_the_password_nor_its_hash_leaves_the_database(make_accounts, users, rows):
    await make_accounts().register(a_registrant(), Travel())

    (row,) = await rows()
    (user,) = await users()
    assert b"correct horse" not in row.payload
    assert user.password_hash.encode() not in row.payload
    assert "correct horse" not in repr(a_registrant())
