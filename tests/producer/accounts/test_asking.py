import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from support.databases import on_sqlite
from support.statements import statements_of

from producer_service.account_models import Allowance, Proof
from producer_service.accounts.asking import Wish
from producer_service.unit_of_work import Travel
from shared.commands import SendMail
from shared.contracts import Lane
from shared.events import UserPasswordResetRequested, UserVerificationCodeRequested, UserVerificationRequested

ANN, BOB = "ann@example.org", "bob@example.org"
KINDS = {
    "verification": (lambda cases, wish: cases.verifications.request(wish, Travel()), UserVerificationRequested),
    "reset": (lambda cases, wish: cases.resets.request(wish, Travel()), UserPasswordResetRequested),
    "code": (lambda cases, wish: cases.codes.request(wish, "sign-in", Travel()), UserVerificationCodeRequested),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
async def test_the_owner_of_a_known_address_gets_a_mail_as_registered(use_cases, ann, messages, rows, kind):
    ask, announced = KINDS[kind]

    message_id = await ask(use_cases, Wish("ANN@example.ORG", "fr"))

    message = (await messages())[-1]
    assert isinstance(message, announced)
    assert (message.user_id, message.email, message.name, message.locale) == (ann, ANN, "Ann", "de")
    assert (await rows())[-1].id == message_id


@on_sqlite
@every_kind
async def test_an_unknown_address_gets_a_neutral_mail(use_cases, messages, kind):
    await KINDS[kind][0](use_cases, Wish(BOB, "zh"))

    assert await messages() == [SendMail(to=BOB, template="no_account", locale="zh")]


@on_sqlite
@every_kind
async def test_a_mail_to_a_known_and_to_an_unknown_address_stand_in_one_lane(use_cases, ann, rows, kind):
    """Else whoever follows the message by its id sees how soon it was published, and so which address is known."""
    for email in (ANN, BOB):
        await KINDS[kind][0](use_cases, Wish(email, "en"))

    assert ann
    assert [row.lane for row in (await rows())[-2:]] == [Lane.NORMAL, Lane.NORMAL]


@every_kind
async def test_the_same_statements_run_for_a_known_and_an_unknown_address(use_cases, ann, engine, kind):
    said = []
    for email in (ANN, BOB):
        with statements_of(engine) as statements:
            await KINDS[kind][0](use_cases, Wish(email, "en"))
        said.append(statements)

    assert ann
    assert said[0] == said[1]
    assert said[0][-1] == "COMMIT"
    assert len(said[0]) == 5


@pytest.mark.parametrize("email", [ANN, BOB], ids=["known", "unknown"])
async def test_an_address_gets_no_more_mails_than_are_allowed_of_all_kinds_and_the_answer_stays_the_same(
    use_cases, ann, rows, email
):
    before, wish = len(await rows()), Wish(email, "en")

    ids = [await ask(use_cases, wish) for ask, _ in (*KINDS.values(), *KINDS.values())]

    assert ann
    assert len(await rows()) - before == 3
    assert ids[3:] == [ids[2]] * 3
    assert (await rows())[-1].id == ids[2]


async def test_a_crowd_gets_no_more_mails_than_are_allowed(use_cases, rows):
    await asyncio.gather(*(ask(use_cases, Wish(BOB, "en")) for _ in range(4) for ask, _ in KINDS.values()))

    assert len(await rows()) == 3


@on_sqlite
async def test_what_was_sent_before_stays_good_when_nothing_more_is_sent(use_cases, ann, mailed):
    for _ in range(3):
        await use_cases.codes.request(Wish(ANN, "en"), "sign-in", Travel())
    code = await mailed()

    await use_cases.codes.request(Wish(ANN, "en"), "sign-in", Travel())

    assert ann
    await use_cases.codes.check(ANN, "sign-in", code, Travel())


@on_sqlite
async def test_an_hour_later_there_are_mails_again(use_cases, ages, rows):
    for _ in range(4):
        await use_cases.resets.request(Wish(BOB, "en"), Travel())

    await ages(timedelta(minutes=61))
    await use_cases.resets.request(Wish(BOB, "en"), Travel())

    assert len(await rows()) == 4


@on_sqlite
async def test_what_is_kept_is_neither_an_address_nor_an_id(use_cases, ann, engine, messages):
    await use_cases.resets.request(Wish(ANN, "en"), Travel())

    reset_id = (await messages())[-1].reset_id
    async with engine.connect() as connection:
        kept = [*(await connection.execute(select(Proof))).all(), *(await connection.execute(select(Allowance))).all()]
    assert ann
    for secret in (ANN.encode(), str(reset_id).encode(), reset_id.bytes, reset_id.hex.encode()):
        assert secret not in b"".join(value for row in kept for value in row if isinstance(value, bytes))
    assert str(reset_id) not in str(kept)
    assert ANN not in str(kept)
