import pytest
from pydantic import ValidationError

from shared.commands import COMMANDS, SendMail
from shared.contracts import Lane
from shared.events import EVENTS


def test_every_command_is_addressed_to_a_family():
    assert [command.wire_type for command in COMMANDS] == ["mail.send"]


def test_mails_to_one_address_keep_their_order_without_showing_the_address():
    lower, upper = SendMail(to="ann@example.org"), SendMail(to="Ann@Example.org")

    assert lower.subject == upper.subject
    assert "ann" not in lower.subject


def test_what_any_service_may_send_any_number_of_may_wait_and_what_users_wait_for_may_not():
    assert SendMail.lane is Lane.BULK
    assert {event.lane for event in EVENTS} == {Lane.NORMAL}


@pytest.mark.parametrize("template", ["../secrets", "Welcome", "a b", ""])
def test_a_template_name_that_is_no_plain_word_is_refused(template):
    with pytest.raises(ValidationError, match="template"):
        SendMail(to="ann@example.org", template=template)
