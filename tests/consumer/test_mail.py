from email import message_from_bytes
from email.policy import default

import pytest
from support.mails import a_mail

from consumer_service.mail import parse_sender
from consumer_service.outcome import PermanentFailure

SMUGGLED = [
    "harmless\r\nBcc: everyone@example.com",
    "harmless\nBcc: everyone@example.com",
    "harmless\rBcc: everyone@example.com",
    "harmless\x00",
    "harmless\n",
    "harmless\u2028Bcc: everyone@example.com",
    "=?UTF-8?Q?harmless=0ABcc:_everyone@example.com?=",
    "=?utf-8?b?aGFybWxlc3MKQmNjOiBldmVyeW9uZUBleGFtcGxlLmNvbQ==?=",
    "=?utf-8*en?q?=0D=0A?=",
]


@pytest.mark.parametrize("value", SMUGGLED)
@pytest.mark.parametrize("header", ["subject", "message_id", "to", "locale"])
def test_a_value_that_could_smuggle_a_header_is_refused_for_good(header, value):
    mail = a_mail(**{header: f"ada@{value}" if header == "to" else value})

    with pytest.raises(PermanentFailure) as failure:
        mail.compose()

    assert "everyone" not in str(failure.value)


@pytest.mark.parametrize(
    "address", ["ada", "@example.com", "ada@", "ada@a,b.example", "ada@a b", "ada@<b>", "ada@b;c", ""]
)
def test_what_is_no_address_or_two_of_them_is_refused_for_good(address):
    mail = a_mail(to=address)

    with pytest.raises(PermanentFailure, match="not one that a mail can carry"):
        mail.compose()


def test_the_message_says_who_it_is_from_and_that_no_machine_should_answer():
    mail = a_mail(message_id="<0198@example.org>", subject="Grüße 你好", locale="zh")

    message = message_from_bytes(mail.compose().as_bytes(), policy=default)

    assert message["Message-ID"] == "<0198@example.org>"
    assert message["From"] == "Tidings <no-reply@example.org>"
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "Grüße 你好"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "zh"
    assert message["Date"].datetime.tzinfo is not None


def test_both_parts_travel_in_seven_bits_with_whole_line_ends():
    mail = a_mail(text="你好, Ada\n.\nA line\n", html="<p>你好, Ada</p>\n")

    composed = mail.compose().as_bytes()

    message = message_from_bytes(composed, policy=default)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    assert (text, html) == ("你好, Ada\n.\nA line\n", "<p>你好, Ada</p>\n")
    assert composed.isascii()
    assert b"\n" not in composed.replace(b"\r\n", b"")


def test_a_long_message_id_is_neither_folded_nor_encoded():
    message_id = f"<0198aaaa-0000-5000-8000-aaaaaaaaaaaa@{'a' * 60}.example.org>"

    composed = a_mail(message_id=message_id).compose().as_bytes()

    assert f"Message-ID: {message_id}\r\n".encode() in composed


def test_an_address_beyond_ascii_needs_servers_that_speak_it():
    mail = a_mail(to="阿达@例子.中国")

    composed = mail.compose().as_bytes()

    assert mail.international
    assert "To: 阿达@例子.中国\r\n".encode() in composed


def test_the_representation_tells_a_log_nothing_about_the_person():
    mail = a_mail(to="ada@example.com", subject="A secret subject", text="A secret text", html="A secret page")

    shown = repr(mail)

    assert "ada" not in shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("no-reply@example.org", "", "no-reply@example.org"),
        ("Tidings <no-reply@example.org>", "Tidings", "no-reply@example.org"),
        ('"Tidings, Inc." <no-reply@example.org>', "Tidings, Inc.", "no-reply@example.org"),
        ("消息 <no-reply@example.org>", "消息", "no-reply@example.org"),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(text, name, address):
    sender = parse_sender(text)

    assert (sender.display_name, sender.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text",
    ["", "Tidings", "a@b@", "Tidings <no-reply@example.org", "no-reply@example.org>", "a@例子.中国", "A\n <a@b.org>"],
)
def test_a_sender_that_could_not_stand_in_a_header_is_refused_at_the_start(text):
    with pytest.raises(ValueError, match="sender"):
        parse_sender(text)
