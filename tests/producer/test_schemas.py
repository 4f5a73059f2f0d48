from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from support.builders import ANN, VERIFICATION

from producer_service.outbox import Standing
from producer_service.schemas import EventStatus, Registration
from shared.events import UserCreated


def a_registration(**changes):
    return Registration(**({"email": "ann@example.org", "password": "correct horse"} | changes))


def test_name_and_locale_may_be_left_out():
    registration = a_registration()

    assert (registration.name, registration.locale) == ("", "en")


@pytest.mark.parametrize(
    "email", ["a@b.example", "ann+tag@example.org", "\u00e4nn@b\u00fccher.example", "o'neil@example.org"]
)
def test_an_address_is_accepted_and_fits_the_event(email):
    registration = a_registration(email=email)

    assert UserCreated(user_id=ANN, email=registration.email, verification_id=VERIFICATION).email == registration.email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "ann@localhost",
        "ann@@example.org",
        "Ann <ann@example.org>",
        "ann@example.org\nBcc: all@example.org",
        "ann@example.org\r",
        " ann@example.org",
        '"ann b"@example.org',
        "ann@[127.0.0.1]",
        "\ud800@example.org",
        "\0@example.org",
        f"{'a' * 250}@example.org",
        f"{'a' * 60_000}@example.org",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(email):
    with pytest.raises(ValidationError) as caught:
        a_registration(email=email)

    (problem,) = caught.value.errors()
    assert problem["msg"] in {"must be an e-mail address, as in ann@example.org", "must have at most 254 characters"}


@pytest.mark.parametrize(
    "email", ["=?utf-8?q?=0a?=@example.org", "=?UTF-8?B?Cg==?@example.org", "a%0d%0ab@example.org", "a%00@example.org"]
)
def test_an_address_that_hides_a_line_break_is_refused(email):
    with pytest.raises(ValidationError, match="must not hold an encoded word"):
        a_registration(email=email)


@pytest.mark.parametrize("password", ["12345678", "x" * 128, "pass\0word", "\u00e4" * 8, "        "])
def test_a_password_of_eight_to_128_characters_is_accepted(password):
    assert a_registration(password=password).password.get_secret_value() == password


@pytest.mark.parametrize("password", ["", "1234567", "x" * 129, "\ud800" * 8, None, 12345678])
def test_any_other_password_is_refused(password):
    with pytest.raises(ValidationError):
        a_registration(password=password)


def test_a_password_is_not_shown():
    assert "correct horse" not in repr(a_registration())


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Ann",
        "Dvo\u0159\u00e1k",
        "\u674e\u5c0f\u9f8d",
        "O'Neil-Smith, Jr.",
        "x" * 200,
        "me \U0001f469\u200d\U0001f680",
        "1 =? 2",
    ],
)
def test_a_name_is_nearly_anything_in_one_line(name):
    assert a_registration(name=name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "a\nBcc: b",
        "a\r",
        "a\0",
        "a\u0085b",
        "a\u2028b",
        "=?UTF-8?Q?=0A?=",
        "=?utf-8?b?Cg==?= Ann",
        "a%0D%0Ab",
        "a%00",
        "\u202egnp.exe",
        "\u2066a",
        "\ud800",
        "x" * 201,
        "x" * 10_000,
    ],
)
def test_a_name_that_could_become_more_than_a_name_is_refused(name):
    with pytest.raises(ValidationError):
        a_registration(name=name)


@pytest.mark.parametrize("locale", ["", "en\n", "en_US", "../../etc", "x" * 36])
def test_a_locale_is_letters_digits_and_dashes(locale):
    with pytest.raises(ValidationError):
        a_registration(locale=locale)


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="is_admin"):
        a_registration(is_admin=True)


def test_a_status_keeps_the_words_of_the_broker_to_itself():
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    words = "forbidden: access to topic 'mail.send' in exchange 'domain.tasks' refused"
    standing = Standing("m-1", "parked", 1, words, noon, None, "forbidden")

    status = EventStatus.of(standing)

    assert (status.id, status.status, status.last_error, status.parked_reason) == (
        "m-1",
        "parked",
        "forbidden",
        "forbidden",
    )
    assert "mail" not in status.model_dump_json()


def test_the_status_of_a_delayed_message_tells_its_moment():
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)

    status = EventStatus.of(Standing("m-1", "delayed", 0, None, noon, None, None, deliver_at=noon + timedelta(days=1)))

    assert (status.status, status.deliver_at) == ("delayed", noon + timedelta(days=1))
