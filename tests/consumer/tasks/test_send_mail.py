import pytest
from support.mails import a_context

from consumer_service.outcome import PermanentFailure
from consumer_service.tasks.send_mail import SendMail
from shared import commands


def a_command(**changes):
    variables = {"subject": "Maintenance", "text": "Tonight at ten."}
    return commands.SendMail(**{"to": "ada@example.com", "variables": variables, **changes})


async def test_a_message_is_sent_as_it_was_written(mailing, catcher):
    command = a_command()

    await SendMail(**mailing).run(command, a_context(command))

    [mail] = catcher.mails
    assert catcher.recipients == ["ada@example.com"]
    assert mail["Subject"] == "Maintenance"
    assert mail.get_body(("plain",)).get_content().startswith("Tonight at ten.")


async def test_any_template_can_be_asked_for(mailing, catcher):
    command = a_command(template="already_registered", variables={"name": "Ada"}, locale="zh")

    await SendMail(**mailing).run(command, a_context(command))

    assert catcher.mails[0]["Subject"] == "您已拥有 Tidings 账户"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"template": "farewell"}, "'farewell'"),
        ({"variables": {"subject": "A"}}, "'text'"),
        ({"variables": {}}, "'subject'"),
    ],
)
async def test_what_cannot_be_written_is_final_and_named(mailing, catcher, changes, named):
    command = a_command(**changes)

    with pytest.raises(PermanentFailure, match=named):
        await SendMail(**mailing).run(command, a_context(command))

    assert catcher.commands == []


@pytest.mark.parametrize("subject", ["A\r\nBcc: everyone@example.com", "=?UTF-8?Q?=0ABcc:_everyone@example.com?="])
async def test_a_subject_that_could_smuggle_a_header_is_final(mailing, catcher, subject):
    command = a_command(variables={"subject": subject, "text": "Tonight"})

    with pytest.raises(PermanentFailure, match="Subject"):
        await SendMail(**mailing).run(command, a_context(command))

    assert catcher.commands == []


def test_it_waits_in_the_mail_queue_for_commands():
    assert SendMail.queue == "mail"
    assert SendMail.takes is commands.SendMail
