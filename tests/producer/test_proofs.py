from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.account_models import Proof
from producer_service.models import User
from producer_service.proofs import GUESSES, consume_code, count_guess, issue, redeem
from producer_service.refusals import ProofRefused
from shared.proofs import RESET_PASSWORD, VERIFY_EMAIL, fingerprint

HOLDER = b"h" * 32


@pytest.fixture
async def session(engine):
    async with AsyncSession(engine) as session:
        yield session


@pytest.fixture
async def user_id(session):
    user = User(id=uuid4(), email="a@b.example", email_key="a@b.example", name="", password_hash="", locale="en")
    session.add(user)
    await session.flush()
    return user.id


async def issued(session, user_id, purpose=VERIFY_EMAIL, holder=HOLDER):
    proof_id = uuid4()
    await issue(session, holder=holder, purpose=purpose, stored=fingerprint(purpose, proof_id), user_id=user_id)
    return proof_id


async def test_a_proof_is_redeemed_by_its_id_and_for_its_purpose_once(session, user_id):
    proof_id = await issued(session, user_id)

    with pytest.raises(ProofRefused):
        await redeem(session, purpose=RESET_PASSWORD, proof_id=proof_id)
    assert await redeem(session, purpose=VERIFY_EMAIL, proof_id=proof_id) == user_id
    with pytest.raises(ProofRefused):
        await redeem(session, purpose=VERIFY_EMAIL, proof_id=proof_id)


async def test_a_newer_one_takes_its_place_and_begins_anew(session, user_id):
    older = await issued(session, user_id)
    await count_guess(session, holder=HOLDER, purpose=VERIFY_EMAIL)
    await redeem(session, purpose=VERIFY_EMAIL, proof_id=older)

    newer = await issued(session, user_id)

    (kept,) = (await session.scalars(select(Proof))).all()
    assert (kept.fingerprint, kept.attempts, kept.consumed_at) == (fingerprint(VERIFY_EMAIL, newer), 0, None)


async def test_purposes_and_holders_do_not_get_in_each_others_way(session, user_id):
    ids = {
        VERIFY_EMAIL: await issued(session, user_id, VERIFY_EMAIL),
        RESET_PASSWORD: await issued(session, user_id, RESET_PASSWORD),
    }
    await issued(session, user_id, VERIFY_EMAIL, holder=b"i" * 32)

    for purpose, proof_id in ids.items():
        assert await redeem(session, purpose=purpose, proof_id=proof_id) == user_id


async def test_guesses_are_counted_up_to_a_limit(session, user_id):
    proof_id = await issued(session, user_id)

    found = [await count_guess(session, holder=HOLDER, purpose=VERIFY_EMAIL) for _ in range(GUESSES + 2)]

    assert found == [(fingerprint(VERIFY_EMAIL, proof_id), user_id)] * GUESSES + [None, None]


async def test_what_belongs_to_nobody_cannot_be_consumed(session):
    proof_id = await issued(session, None)

    with pytest.raises(ProofRefused):
        await redeem(session, purpose=VERIFY_EMAIL, proof_id=proof_id)
    with pytest.raises(ProofRefused):
        await consume_code(session, fingerprint(VERIFY_EMAIL, proof_id))
