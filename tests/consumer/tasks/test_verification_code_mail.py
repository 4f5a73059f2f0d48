from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.mails import a_context, about_ada

from consumer_service.outcome import PermanentFailure
from consumer_service.tasks.verification_code_mail import SendVerificationCodeMail
from consumer_service.tokens import VERIFICATION_CODE_LIFETIME
from shared.events import UserVerificationCodeRequested

CODE = UUID("0198aaaa-0000-7000-8000-0000000000ef")
REQUESTED = UserVerificationCodeRequested(**about_ada(code_id=CODE))


@pytest.fixture
def task(mailing, tokens):
    return SendVerificationCodeMail(**mailing, tokens=tokens)


async def test_the_user_gets_the_code_in_both_parts(task, tokens, catcher):
    await task.run(REQUESTED, a_context(REQUESTED))

    [mail] = catcher.mails
    assert tokens.verification_code(CODE) in mail.get_body(("plain",)).get_content()
    assert tokens.verification_code(CODE) in mail.get_body(("html",)).get_content()
    assert tokens.verification_code(CODE) not in mail["Subject"]


async def test_every_attempt_sends_the_same_code(task, catcher):
    await task.run(REQUESTED, a_context(REQUESTED, attempt=1))
    await task.run(REQUESTED, a_context(REQUESTED, attempt=2))

    first, second = (mail.get_body(("plain",)).get_content() for mail in catcher.mails)
    assert first == second


async def test_a_code_that_has_expired_is_not_sent_any_more(task, catcher):
    long_ago = datetime.now(UTC) - VERIFICATION_CODE_LIFETIME - timedelta(seconds=1)

    with pytest.raises(PermanentFailure, match="expired"):
        await task.run(REQUESTED, a_context(REQUESTED, time=long_ago))

    assert catcher.commands == []


def test_its_attempts_outlast_greylisting_and_end_before_the_code_does():
    policy = SendVerificationCodeMail.retry

    waited = sum((policy.delay(attempt) for attempt in range(1, policy.limit)), timedelta())

    assert timedelta(minutes=5) < waited < VERIFICATION_CODE_LIFETIME


def test_it_waits_in_the_mail_queue_for_requests():
    assert SendVerificationCodeMail.queue == "mail"
    assert SendVerificationCodeMail.takes is UserVerificationCodeRequested
