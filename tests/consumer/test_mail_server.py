import pytest

from consumer_service.mail_server import MailServer


@pytest.mark.parametrize(
    ("url", "port", "encryption"),
    [
        ("smtp://mail.example.org", 587, "starttls"),
        ("smtp://mail.example.org:2525", 2525, "starttls"),
        ("smtps://mail.example.org", 465, "tls"),
        ("smtp://mail.example.org:25?tls=off", 25, "off"),
    ],
)
def test_encryption_is_required_unless_the_url_says_off(url, port, encryption):
    server = MailServer.parse(url)

    assert (server.host, server.port, server.encryption) == ("mail.example.org", port, encryption)


def test_the_user_and_password_are_decoded_and_the_password_is_not_shown():
    server = MailServer.parse("smtp://ada%40example.org:p%2Fss%20word@mail.example.org")

    assert (server.username, server.password) == ("ada@example.org", "p/ss word")
    assert "ss word" not in repr(server)


def test_the_name_we_give_ourselves_can_be_chosen():
    server = MailServer.parse("smtp://mail.example.org?helo=worker.example.org")

    assert server.helo == "worker.example.org"


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://mail.example.org?tls=maybe",
        "smtps://mail.example.org?tls=off",
        "smtp://mail.example.org?tls=off&verify=no",
        "smtp://mail.example.org/path",
        "smtp://mail.example.org?helo=",
        "smtp://ada:sesame@mail.example.org?tls=off",
        "smtp://ada:sesame/x@mail.example.org",
        "smtp://ada:sesame#x@mail.example.org",
        "smtp://mail.example.org:99999",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_quoting_the_password(url):
    with pytest.raises(ValueError, match="mail URL") as refusal:
        MailServer.parse(url)

    assert "sesame" not in str(refusal.value)
    assert refusal.value.__cause__ is None
