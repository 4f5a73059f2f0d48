import pytest
from support.mails import a_context, about_ada

from consumer_service.correspondence import Correspondence
from consumer_service.outcome import PermanentFailure
from consumer_service.rendering import MailTemplates
from shared.events import UserEmailVerified

VERIFIED = UserEmailVerified(**about_ada())
TEMPLATES = MailTemplates()


@pytest.fixture
def correspondence():
    return Correspondence(templates=TEMPLATES, sender="Tidings <no-reply@example.org>")


def write(correspondence, context=None, **changes):
    asked = {"to": "ada@example.com", "locale": "en", "variables": {"name": "Ada"}, **changes}
    return correspondence.write("welcome", context=context or a_context(VERIFIED), **asked)


def test_every_attempt_at_one_message_carries_the_same_message_id(correspondence):
    first = write(correspondence, a_context(VERIFIED, attempt=1))
    second = write(correspondence, a_context(VERIFIED, attempt=2))

    assert first.message_id == second.message_id == "<34ecb875-2af7-5205-b255-5412ec054eb9@example.org>"


def test_another_message_or_another_task_has_another_message_id(correspondence):
    contexts = [
        a_context(VERIFIED, message_id="1", task="SendMail"),
        a_context(VERIFIED, message_id="2", task="SendMail"),
        a_context(VERIFIED, message_id="1", task="SendWelcomeMail"),
    ]

    written = {write(correspondence, context).message_id for context in contexts}

    assert len(written) == 3


def test_the_mail_is_written_in_the_closest_language_and_says_which(correspondence):
    mail = write(correspondence, locale="zh-CN")

    assert mail.locale == "zh"
    assert mail.subject == "欢迎加入 Tidings"
    assert mail.to == "ada@example.com"


def test_the_texts_speak_in_the_name_of_the_sender():
    nameless = Correspondence(templates=TEMPLATES, sender="no-reply@example.org")

    mail = write(nameless, variables={"name": "Ada", "product": "somebody else"})

    assert mail.subject == "Welcome to example.org"


def test_a_missing_variable_is_final(correspondence):
    with pytest.raises(PermanentFailure, match="'name'"):
        write(correspondence, variables={})


def test_a_sender_that_is_none_is_refused_at_the_start():
    with pytest.raises(ValueError, match="sender"):
        Correspondence(templates=TEMPLATES, sender="Tidings")
