import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer_service.outcome import OutcomeUnknown, PermanentFailure, TemporaryFailure, as_line, describe, fingerprint


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_failure_that_the_task_knows_is_described_in_its_own_words():
    assert describe(TemporaryFailure("the mail server is busy")) == "TemporaryFailure: the mail server is busy"


def test_of_any_other_error_only_type_and_place_are_told():
    described = describe(raised(ValueError("ann@example.org is not welcome")))

    assert described.startswith("ValueError at test_outcome.py:")
    assert "ann@" not in described


def test_an_error_that_was_never_raised_has_no_place():
    assert describe(ValueError("secret")) == "ValueError"


def test_a_description_is_one_line_of_limited_length():
    described = describe(PermanentFailure("first\nsecond\t\r\nthird " + "x" * 1000))

    assert described.startswith("PermanentFailure: first second third x")
    assert len(described) == 300


@given(st.text(st.characters(codec=None)))
def test_a_line_fits_a_header_a_database_and_a_terminal(text):
    line = as_line(text)

    assert line.isprintable()
    assert len(line) <= 300
    assert line.encode().decode() == line


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (TemporaryFailure("550 after 12 s"), TemporaryFailure("421 after 3 s")),
        (TemporaryFailure("no such row 'ann'"), TemporaryFailure("no such row 'bob'")),
        (
            TemporaryFailure("0198aaaa-0000-7000-8000-0000000000ad is gone"),
            TemporaryFailure("0198bbbb-0000-7000-8000-0000000000ff is gone"),
        ),
        (ValueError("ann"), ValueError("bob")),
    ],
)
def test_failures_of_one_kind_share_a_fingerprint(one, another):
    assert fingerprint("SendMail", one) == fingerprint("SendMail", another)


@pytest.mark.parametrize("another", [OutcomeUnknown("busy"), TemporaryFailure("closed"), ValueError("busy")])
def test_failures_of_another_kind_have_another_fingerprint(another):
    assert fingerprint("SendMail", TemporaryFailure("busy")) != fingerprint("SendMail", another)


def test_the_same_failure_of_another_task_has_another_fingerprint():
    error = TemporaryFailure("busy")

    assert fingerprint("SendMail", error) != fingerprint("SendWelcomeMail", error)


@pytest.mark.parametrize("error", [OSError("bad \udcff name"), TemporaryFailure("bad \udcff\x00 name")])
def test_text_that_cannot_be_encoded_has_a_fingerprint_too(error):
    assert len(fingerprint("SendMail", error)) == 12
