import re
from datetime import timedelta
from urllib.parse import unquote
from uuid import UUID

from support.mails import LINK_SECRET, a_context, about_ada

from consumer_service.tasks.another_verification_mail import SendAnotherVerificationMail
from shared.events import UserVerificationRequested
from shared.proofs import VERIFY_EMAIL, Proofs, bound

VERIFICATION = UUID("0198aaaa-0000-7000-8000-0000000000ef")
REQUESTED = UserVerificationRequested(**about_ada(verification_id=VERIFICATION))


async def test_the_user_gets_a_link_by_which_the_address_can_be_verified(mailing, tokens, catcher):
    await SendAnotherVerificationMail(**mailing, tokens=tokens).run(REQUESTED, a_context(REQUESTED))

    text = catcher.mails[0].get_body(("plain",)).get_content()
    [token] = re.findall(r"https://app\.example\.org/verify-email\?token=(\S+)", text)
    read = Proofs(LINK_SECRET).read(unquote(token), purpose=VERIFY_EMAIL, lifetime=timedelta(minutes=1))
    assert read == bound(VERIFICATION, REQUESTED.email)
    assert "24 hours" in text
    assert catcher.recipients == ["ada@example.com"]


def test_it_waits_in_the_mail_queue_for_requests():
    assert SendAnotherVerificationMail.queue == "mail"
    assert SendAnotherVerificationMail.takes is UserVerificationRequested
