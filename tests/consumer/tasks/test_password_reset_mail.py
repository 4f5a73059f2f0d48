import re
from datetime import timedelta
from urllib.parse import unquote
from uuid import UUID

from support.mails import LINK_SECRET, a_context, about_ada

from consumer_service.tasks.password_reset_mail import SendPasswordResetMail
from shared.events import UserPasswordResetRequested
from shared.proofs import RESET_PASSWORD, Proofs, bound

RESET = UUID("0198aaaa-0000-7000-8000-0000000000ef")
REQUESTED = UserPasswordResetRequested(**about_ada(reset_id=RESET))


async def test_the_user_gets_a_link_under_which_a_password_can_be_set(mailing, tokens, catcher):
    await SendPasswordResetMail(**mailing, tokens=tokens).run(REQUESTED, a_context(REQUESTED))

    text = catcher.mails[0].get_body(("plain",)).get_content()
    [token] = re.findall(r"https://app\.example\.org/reset-password\?token=(\S+)", text)
    read = Proofs(LINK_SECRET).read(unquote(token), purpose=RESET_PASSWORD, lifetime=timedelta(minutes=1))
    assert read == bound(RESET, REQUESTED.email)
    assert "30 minutes" in text
    assert catcher.recipients == ["ada@example.com"]


def test_it_gives_up_before_the_next_day():
    policy = SendPasswordResetMail.retry

    waited = sum((policy.delay(attempt) for attempt in range(1, policy.limit)), timedelta())

    assert timedelta(hours=1) < waited < timedelta(hours=12)


def test_it_waits_in_the_mail_queue_for_requests():
    assert SendPasswordResetMail.queue == "mail"
    assert SendPasswordResetMail.takes is UserPasswordResetRequested
