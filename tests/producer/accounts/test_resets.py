import asyncio

import pytest
from support.databases import on_sqlite

from producer_service.account_models import UserSession
from producer_service.accounts.asking import Wish
from producer_service.accounts.sessions import Credentials
from producer_service.refusals import ProofRefused, SignInRefused, WeakPassword
from producer_service.unit_of_work import Travel
from shared.events import UserEmailVerified, UserPasswordChanged

EMAIL, OLD, NEW = "ann@example.org", "correct horse", "battery staple"
WISH = Wish(EMAIL, "en")


@pytest.fixture
async def token(use_cases, ann, mailed):
    assert ann
    await use_cases.resets.request(WISH, Travel())
    return await mailed()


def sign_in(use_cases, password):
    return use_cases.sessions.open(Credentials(EMAIL, password, None), Travel())


async def test_a_link_sets_the_password_and_the_owner_is_told(use_cases, token, ann, messages):
    await use_cases.resets.redeem(token, NEW, Travel())

    about_ann = {"user_id": ann, "email": EMAIL, "name": "Ann", "locale": "de"}
    assert (await messages())[-2:] == [UserPasswordChanged(**about_ann), UserEmailVerified(**about_ann)]
    assert await sign_in(use_cases, NEW)
    with pytest.raises(SignInRefused):
        await sign_in(use_cases, OLD)


async def test_a_link_is_good_once_and_for_one_of_many(use_cases, token):
    redeemed = (use_cases.resets.redeem(token, f"{NEW} {number}", Travel()) for number in range(6))

    results = await asyncio.gather(*redeemed, return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["NoneType", *["ProofRefused"] * 5]


async def test_a_new_password_ends_every_session(use_cases, token, count):
    for _ in range(2):
        await sign_in(use_cases, OLD)

    await use_cases.resets.redeem(token, NEW, Travel())

    assert await count(UserSession) == 0


async def test_nobody_signs_in_with_the_old_password_while_it_is_changed(use_cases, token, count):
    signing_in = [sign_in(use_cases, OLD) for _ in range(3)]

    await asyncio.gather(*signing_in, use_cases.resets.redeem(token, NEW, Travel()), return_exceptions=True)

    assert await count(UserSession) == 0


@on_sqlite
async def test_another_link_voids_the_one_before_it(use_cases, token):
    await use_cases.resets.request(WISH, Travel())

    with pytest.raises(ProofRefused):
        await use_cases.resets.redeem(token, NEW, Travel())


@on_sqlite
async def test_a_link_for_another_purpose_is_refused(use_cases, ann, mailed):
    verification = await mailed()

    with pytest.raises(ProofRefused):
        await use_cases.resets.redeem(verification, NEW, Travel())
    assert ann


@on_sqlite
@pytest.mark.parametrize("weak", ["password1", "ann@example.org", "Tidings1234", "Rapunzel12"])
async def test_a_weak_password_leaves_the_link_good_and_the_old_password_in_force(use_cases, token, change_user, weak):
    await change_user(name="Rapunzel")

    with pytest.raises(WeakPassword):
        await use_cases.resets.redeem(token, weak, Travel())

    assert await sign_in(use_cases, OLD)
    await use_cases.resets.redeem(token, NEW, Travel())


@on_sqlite
async def test_whoever_has_set_a_new_password_need_not_wait_for_the_guesses_of_others(use_cases, token):
    for _ in range(3):
        with pytest.raises(SignInRefused):
            await sign_in(use_cases, "a guess of Mallory's")

    await use_cases.resets.redeem(token, NEW, Travel())

    assert await sign_in(use_cases, NEW)
