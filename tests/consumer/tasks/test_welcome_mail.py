from support.mails import a_context, about_ada

from consumer_service.tasks.welcome_mail import SendWelcomeMail
from shared.events import UserEmailVerified


async def test_a_verified_user_is_welcomed_by_name(mailing, catcher):
    verified = UserEmailVerified(**about_ada(name="Ada King"))

    await SendWelcomeMail(**mailing).run(verified, a_context(verified))

    [mail] = catcher.mails
    assert catcher.recipients == ["ada@example.com"]
    assert mail["Subject"] == "Welcome to Tidings"
    assert "Hello Ada King," in mail.get_body(("plain",)).get_content()


async def test_a_user_is_welcomed_in_their_own_language(mailing, catcher):
    verified = UserEmailVerified(**about_ada(locale="zh-CN"))

    await SendWelcomeMail(**mailing).run(verified, a_context(verified))

    assert catcher.mails[0]["Subject"] == "欢迎加入 Tidings"
    assert catcher.mails[0]["Content-Language"] == "zh"


def test_it_waits_in_the_mail_queue_for_verified_addresses():
    assert SendWelcomeMail.queue == "mail"
    assert SendWelcomeMail.takes is UserEmailVerified
