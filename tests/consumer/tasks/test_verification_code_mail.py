import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.mails import LINK_SECRET, a_context, about_ada

from consumer_service.outcome import PermanentFailure
from consumer_service.tasks.verification_code_mail import SendVerificationCodeMail
from shared.events import UserVerificationCodeRequested
from shared.proofs import CODE_SENT_WITHIN, VERIFICATION_CODE, Proofs, bound, fingerprint

CODE = UUID("0198aaaa-0000-7000-8000-0000000000ef")
STORED = fingerprint(VERIFICATION_CODE, bound(CODE, about_ada()["email"]))
REQUESTED = UserVerificationCodeRequested(**about_ada(code_id=CODE))


@pytest.fixture
def task(mailing, tokens):
    return SendVerificationCodeMail(**mailing, tokens=tokens)


def is_good(code):
    return Proofs(LINK_SECRET).is_code(code, STORED, datetime.now(UTC))


async def test_the_user_gets_the_code_in_both_parts(task, catcher):
    await task.run(REQUESTED, a_context(REQUESTED))

    [mail] = catcher.mails
    plain, html = (mail.get_body((part,)).get_content() for part in ("plain", "html"))
    [code] = re.findall(r"\b\d{6}\b", plain)
    assert is_good(code)
    assert code in html
    assert code not in mail["Subject"]


async def test_a_code_that_waited_for_a_mail_server_is_good_when_it_is_sent(task, catcher):
    requested = datetime.now(UTC) - timedelta(hours=1)

    await task.run(REQUESTED, a_context(REQUESTED, time=requested, attempt=9))

    [code] = re.findall(r"\b\d{6}\b", catcher.mails[0].get_body(("plain",)).get_content())
    assert is_good(code)


async def test_a_code_that_nobody_waits_for_is_not_sent_any_more(task, catcher):
    long_ago = datetime.now(UTC) - CODE_SENT_WITHIN - timedelta(seconds=1)

    with pytest.raises(PermanentFailure, match="too long ago"):
        await task.run(REQUESTED, a_context(REQUESTED, time=long_ago))

    assert catcher.commands == []


def test_its_attempts_outlast_an_hour_and_end_before_nobody_waits_any_more():
    policy = SendVerificationCodeMail.retry

    waited = sum((policy.delay(attempt) for attempt in range(1, policy.limit)), timedelta())

    assert timedelta(hours=1) < waited < CODE_SENT_WITHIN
    assert sum((policy.delay(attempt) for attempt in range(1, 5)), timedelta()) < timedelta(minutes=3)


def test_it_waits_in_the_mail_queue_for_requests():
    assert SendVerificationCodeMail.queue == "mail"
    assert SendVerificationCodeMail.takes is UserVerificationCodeRequested
