import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from support.databases import on_sqlite
from support.statements import statements_of

from producer_service.accounts.asking import Wish
from producer_service.accounts.codes import GUESSES_PER_HOUR
from producer_service.proofs import GUESSES
from producer_service.refusals import ProofRefused
from producer_service.unit_of_work import Travel
from shared.proofs import CODE_SENT_WITHIN

EMAIL = "ann@example.org"
WISH = Wish(EMAIL, "en")


@pytest.fixture
async def code(use_cases, ann, mailed):
    assert ann
    await use_cases.codes.request(WISH, "sign-in", Travel())
    return await mailed()


@pytest.fixture
def check(use_cases):
    """Tell whether a code is accepted."""

    async def check(code, *, email=EMAIL, purpose="sign-in"):
        try:
            await use_cases.codes.check(email, purpose, code, Travel())
        except ProofRefused:
            return False
        return True

    return check


def another(code, by=1):
    return f"{(int(code) + by) % 1_000_000:06}"


async def test_a_code_is_accepted_once(check, code):
    assert await check(code, email="ANN@example.org")
    assert not await check(code)


async def test_of_many_at_once_one_is_accepted(check, code):
    assert sum(await asyncio.gather(*(check(code) for _ in range(4)))) == 1


@on_sqlite
async def test_a_code_is_good_for_its_purpose_and_its_address_alone(check, code, registered):
    await registered("bob@example.org")

    assert not await check(code, purpose="change-address")
    assert not await check(code, email="bob@example.org")
    assert await check(code)


@on_sqlite
async def test_a_new_code_voids_the_one_before_it_of_the_same_purpose(use_cases, check, code, mailed):
    await use_cases.codes.request(WISH, "change-address", Travel())
    other_purpose = await mailed()
    await use_cases.codes.request(WISH, "sign-in", Travel())

    assert not await check(code)
    assert await check(other_purpose, purpose="change-address")
    assert await check(await mailed())


async def test_a_code_bears_five_guesses_and_then_not_even_the_right_one(check, code):
    for by in range(1, GUESSES + 1):
        assert not await check(another(code, by))

    assert not await check(code)


async def test_guesses_at_once_are_counted_like_guesses_one_after_another(check, code):
    guesses = [another(code, by) for by in range(1, GUESSES + 1)]

    results = await asyncio.gather(*(check(guess) for guess in guesses))

    assert not any(results)
    assert not await check(code)


@on_sqlite
async def test_new_codes_do_not_give_more_guesses_than_an_hour_allows(use_cases, check, code, mailed, ages):
    for round_of in range(2):
        assert [await check(another(code, by)) for by in range(1, GUESSES + 1)] == [False] * GUESSES, round_of
        await use_cases.codes.request(WISH, "sign-in", Travel())
        code = await mailed()
    assert GUESSES_PER_HOUR == 2 * GUESSES

    assert not await check(code)

    await ages(timedelta(minutes=61))
    assert await check(code)


@on_sqlite
async def test_a_code_that_waited_an_hour_for_a_mail_server_is_good_when_it_comes(check, code, ages, mailed):
    await ages(timedelta(hours=1))

    assert await check(await mailed(datetime.now(UTC) - timedelta(minutes=10)))
    assert code


@on_sqlite
async def test_a_code_is_dead_eleven_minutes_after_it_was_sent(check, code, mailed):
    assert not await check(await mailed(datetime.now(UTC) - timedelta(minutes=11)))
    assert code


@on_sqlite
async def test_no_code_outlives_its_request_for_long(check, code, ages, mailed):
    await ages(CODE_SENT_WITHIN + timedelta(minutes=12))

    assert not await check(await mailed())
    assert code


async def test_no_code_of_an_unknown_address_is_accepted_and_to_refuse_it_takes_the_same_statements(
    use_cases, check, code, engine
):
    await use_cases.codes.request(Wish("bob@example.org", "en"), "sign-in", Travel())

    said = []
    for email in (EMAIL, "bob@example.org"):
        with statements_of(engine) as statements:
            assert not await check(another(code), email=email)
        said.append(statements)

    assert said[0] == said[1]
    assert len(said[0]) == 3
