import pytest
from support.mails import a_context, about_ada

from consumer_service.tasks.password_changed_mail import SendPasswordChangedMail
from shared.events import UserPasswordChanged


@pytest.mark.parametrize(
    ("locale", "subject"), [("en", "Your password for Tidings was changed"), ("zh-CN", "您在 Tidings 的密码已更改")]
)
async def test_the_user_learns_of_the_change_in_their_own_language(mailing, catcher, locale, subject):
    changed = UserPasswordChanged(**about_ada(locale=locale))

    await SendPasswordChangedMail(**mailing).run(changed, a_context(changed))

    [mail] = catcher.mails
    assert (catcher.recipients, mail["Subject"]) == (["ada@example.com"], subject)
    assert "http" not in mail.get_body(("plain",)).get_content()


def test_it_waits_in_the_mail_queue_for_changes():
    assert SendPasswordChangedMail.queue == "mail"
    assert SendPasswordChangedMail.takes is UserPasswordChanged
