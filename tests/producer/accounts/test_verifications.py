import asyncio
from datetime import timedelta

import pytest
from support.databases import on_sqlite
from support.mails import LINK_SECRET

from producer_service.accounts.asking import Wish
from producer_service.proofs import KEPT_FROM_REQUEST
from producer_service.refusals import ProofRefused
from producer_service.unit_of_work import Travel
from shared.commands import SendMail
from shared.events import UserEmailVerified
from shared.proofs import RESET_PASSWORD, VERIFY_EMAIL, Proofs, bound

WISH = Wish("ann@example.org", "en")


async def test_the_link_of_the_first_mail_verifies_the_address_and_announces_it(use_cases, ann, mailed, user, messages):
    await use_cases.verifications.redeem(await mailed(), Travel(correlation_id="c-1"))

    expected = UserEmailVerified(user_id=ann, email="ann@example.org", name="Ann", locale="de")
    assert (await user()).email_verified_at is not None
    assert (await messages())[1:] == [expected]


async def test_a_link_is_good_once(use_cases, ann, mailed, messages):
    token = await mailed()
    await use_cases.verifications.redeem(token, Travel())

    with pytest.raises(ProofRefused):
        await use_cases.verifications.redeem(token, Travel())

    assert ann
    assert len(await messages()) == 2


async def test_of_many_at_once_one_redeems_the_link(use_cases, ann, mailed, messages):
    token = await mailed()

    results = await asyncio.gather(
        *(use_cases.verifications.redeem(token, Travel()) for _ in range(8)), return_exceptions=True
    )

    assert ann
    assert sorted(type(result).__name__ for result in results) == ["NoneType", *["ProofRefused"] * 7]
    assert len(await messages()) == 2


async def test_another_link_voids_the_one_before_it(use_cases, ann, mailed, user):
    first = await mailed()
    await use_cases.verifications.request(WISH, Travel())

    with pytest.raises(ProofRefused):
        await use_cases.verifications.redeem(first, Travel())
    await use_cases.verifications.redeem(await mailed(), Travel())

    assert (await user()).id == ann
    assert (await user()).email_verified_at is not None


@on_sqlite
async def test_an_address_that_is_verified_is_told_so_and_gets_no_link(use_cases, ann, mailed, messages):
    await use_cases.verifications.redeem(await mailed(), Travel())

    await use_cases.verifications.request(WISH, Travel())

    told = SendMail(to="ann@example.org", template="already_verified", variables={"name": "Ann"}, locale="de")
    assert ann
    assert (await messages())[-1] == told


@on_sqlite
async def test_registering_again_leaves_the_link_of_the_owner_good(use_cases, registered, mailed, user):
    await registered()
    token = await mailed()

    await registered(name="Mallory", password="another horse")

    await use_cases.verifications.redeem(token, Travel())
    assert (await user()).email_verified_at is not None


@on_sqlite
async def test_what_no_mail_of_ours_holds_is_refused(use_cases, ann, messages):
    verification_id = (await messages())[0].verification_id
    to_ann, to_mallory = (bound(verification_id, f"{name}@example.org") for name in ("ann", "mallory"))
    tokens = [
        "",
        "nonsense",
        Proofs(LINK_SECRET).token(VERIFY_EMAIL, ann),
        Proofs(LINK_SECRET).token(VERIFY_EMAIL, verification_id),
        Proofs(LINK_SECRET).token(VERIFY_EMAIL, to_mallory),
        Proofs(LINK_SECRET).token(RESET_PASSWORD, to_ann),
        Proofs(LINK_SECRET[::-1]).token(VERIFY_EMAIL, to_ann),
    ]

    for token in tokens:
        with pytest.raises(ProofRefused):
            await use_cases.verifications.redeem(token, Travel())


@on_sqlite
async def test_a_link_that_is_signed_long_after_its_request_is_good_until_a_replay_is_impossible(
    use_cases, ann, mailed, ages, user
):
    await ages(KEPT_FROM_REQUEST[VERIFY_EMAIL] - timedelta(minutes=1))

    await use_cases.verifications.redeem(await mailed(), Travel())

    assert (await user()).id == ann
    assert (await user()).email_verified_at is not None


@on_sqlite
async def test_no_link_outlives_its_request_for_ever(use_cases, ann, mailed, ages):
    await ages(KEPT_FROM_REQUEST[VERIFY_EMAIL] + timedelta(minutes=1))

    with pytest.raises(ProofRefused):
        await use_cases.verifications.redeem(await mailed(), Travel())
    assert ann
