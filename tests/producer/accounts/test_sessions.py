import asyncio
import hashlib
from datetime import timedelta

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from structlog.testing import capture_logs
from support.databases import on_sqlite
from support.statements import statements_of

from producer_service.account_models import UserSession
from producer_service.accounts.sessions import Credentials
from producer_service.refusals import NoSession, SignInRefused, TooManyAttempts
from producer_service.unit_of_work import Travel

EMAIL, PASSWORD, WRONG = "ann@example.org", "correct horse", "wrong horse"
CHEAPER = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=2, parallelism=1),))


@pytest.fixture
def sign_in(use_cases, ann):
    assert ann

    async def sign_in(password=PASSWORD, email=EMAIL, device=None):
        return await use_cases.sessions.open(Credentials(email, password, device), Travel())

    return sign_in


async def test_whoever_knows_the_password_gets_a_session_that_tells_whose_it_is(use_cases, ann, sign_in):
    signed_in = await sign_in(email="ANN@example.org")

    current = await use_cases.sessions.find(signed_in.token, Travel())
    assert (current.user_id, current.email_verified, current.expires_at) == (ann, False, signed_in.expires_at)
    assert current.expires_at - current.created_at == timedelta(hours=1)
    assert len(signed_in.token) >= 43


async def test_a_session_ends_by_signing_out_and_no_other_with_it(use_cases, sign_in):
    first, second = await sign_in(), await sign_in()

    await use_cases.sessions.close(first.token, Travel())

    with pytest.raises(NoSession):
        await use_cases.sessions.find(first.token, Travel())
    with pytest.raises(NoSession):
        await use_cases.sessions.close(first.token, Travel())
    assert await use_cases.sessions.find(second.token, Travel())


@on_sqlite
async def test_a_session_ends_by_itself(use_cases, sign_in, ages):
    signed_in = await sign_in()

    await ages(timedelta(minutes=61))

    with pytest.raises(NoSession):
        await use_cases.sessions.find(signed_in.token, Travel())
    with pytest.raises(NoSession):
        await use_cases.sessions.close(signed_in.token, Travel())


@on_sqlite
async def test_only_a_hash_of_a_token_is_kept(sign_in, engine):
    signed_in = await sign_in()

    async with engine.connect() as connection:
        (kept,) = (await connection.execute(select(UserSession.token_hash))).scalars().all()
    assert kept == hashlib.sha256(signed_in.token.encode()).digest()
    assert signed_in.token not in repr(signed_in)
    assert PASSWORD not in repr(Credentials(EMAIL, PASSWORD, None))


async def test_a_wrong_password_and_an_unknown_address_are_refused_alike_by_the_same_statements(sign_in, engine):
    said = []
    for attempt in ({"password": WRONG}, {"email": "bob@example.org"}):
        with statements_of(engine) as statements, pytest.raises(SignInRefused):
            await sign_in(**attempt)
        said.append(statements)

    assert said[0] == said[1]
    assert len(said[0]) == 3


@on_sqlite
@pytest.mark.parametrize("wrong", ["Correct horse", " correct horse", "correct horse ", "correct hors", "x" * 128])
async def test_a_password_is_verified_exactly_as_it_was_received(sign_in, wrong):
    with pytest.raises(SignInRefused):
        await sign_in(wrong)


async def test_a_hash_with_outdated_parameters_is_replaced_when_its_user_signs_in(sign_in, change_user, user):
    outdated = CHEAPER.hash(PASSWORD)
    await change_user(password_hash=outdated)

    await sign_in()

    renewed = (await user()).password_hash
    assert renewed.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await sign_in()
    assert (await user()).password_hash == renewed


@on_sqlite
async def test_every_attempt_is_logged_by_its_outcome_and_the_users_id(sign_in, ann):
    with capture_logs() as logs:
        await sign_in()
        for attempt in ({"password": WRONG}, {"email": "bob@example.org"}, *[{"password": WRONG}] * 3):
            with pytest.raises((SignInRefused, TooManyAttempts)):
                await sign_in(**attempt)

    said = [(log["event"], log["user_id"]) for log in logs]
    refused = ("session.refused", str(ann))
    assert said == [
        ("session.opened", str(ann)),
        refused,
        ("session.refused", "None"),
        *[refused] * 2,
        ("session.too_many_attempts", str(ann)),
    ]
    assert EMAIL not in str(logs)


async def test_too_many_attempts_are_refused_even_with_the_right_password_and_alike_for_an_unknown_address(sign_in):
    for email in (EMAIL, "bob@example.org"):
        for _ in range(3):
            with pytest.raises(SignInRefused):
                await sign_in(WRONG, email)

        with pytest.raises(TooManyAttempts) as refused:
            await sign_in(PASSWORD, email)

        assert 3590 <= refused.value.seconds <= 3600


async def test_attempts_at_once_are_counted_like_attempts_one_after_another(sign_in):
    results = await asyncio.gather(*(sign_in(WRONG) for _ in range(7)), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["SignInRefused"] * 3 + ["TooManyAttempts"] * 4


@on_sqlite
async def test_signing_in_makes_the_allowance_whole(sign_in):
    for _ in range(3):
        for _ in range(2):
            with pytest.raises(SignInRefused):
                await sign_in(WRONG)

        assert await sign_in()


@on_sqlite
async def test_a_stranger_cannot_lock_out_a_device_from_which_the_owner_has_signed_in(sign_in):
    known = (await sign_in()).device
    for _ in range(4):
        with pytest.raises((SignInRefused, TooManyAttempts)):
            await sign_in(WRONG)

    assert await sign_in(device=known)


@on_sqlite
async def test_a_known_device_may_not_guess_without_end_either(sign_in):
    known = (await sign_in()).device
    for _ in range(3):
        with pytest.raises(SignInRefused):
            await sign_in(WRONG, device=known)

    with pytest.raises(TooManyAttempts):
        await sign_in(device=known)
    assert await sign_in()
