import re
from datetime import timedelta
from urllib.parse import unquote
from uuid import UUID

from support.mails import LINK_SECRET, a_context, about_ada

from consumer_service.tasks.verification_mail import SendVerificationMail
from shared.events import UserCreated
from shared.proofs import VERIFY_EMAIL, Proofs, bound

VERIFICATION = UUID("0198aaaa-0000-7000-8000-0000000000ef")
CREATED = UserCreated(**about_ada(verification_id=VERIFICATION))


async def test_a_new_user_gets_a_link_that_proves_the_address(mailing, tokens, catcher):
    await SendVerificationMail(**mailing, tokens=tokens).run(CREATED, a_context(CREATED))

    text = catcher.mails[0].get_body(("plain",)).get_content()
    [token] = re.findall(r"https://app\.example\.org/verify-email\?token=(\S+)", text)
    read = Proofs(LINK_SECRET).read(unquote(token), purpose=VERIFY_EMAIL, lifetime=timedelta(minutes=1))
    assert read == bound(VERIFICATION, CREATED.email)
    assert catcher.recipients == ["ada@example.com"]


async def test_the_link_is_the_same_in_both_parts(mailing, tokens, catcher):
    await SendVerificationMail(**mailing, tokens=tokens).run(CREATED, a_context(CREATED))

    found = [
        set(re.findall(r"https://\S+?token=[\w.-]+", catcher.mails[0].get_body((part,)).get_content()))
        for part in ("plain", "html")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 1


async def test_another_attempt_is_recognisable_as_the_same_mail(mailing, tokens, catcher):
    task = SendVerificationMail(**mailing, tokens=tokens)

    await task.run(CREATED, a_context(CREATED, attempt=1))
    await task.run(CREATED, a_context(CREATED, attempt=2))

    first, second = catcher.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_it_waits_in_the_mail_queue_for_new_users():
    assert SendVerificationMail.queue == "mail"
    assert SendVerificationMail.takes is UserCreated
