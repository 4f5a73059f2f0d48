import pytest

from producer_service.password_policy import COMMON, PasswordPolicy
from producer_service.refusals import WeakPassword

POLICY = PasswordPolicy(known_words=["tidings"])
ANN = ("ann.king@example.org", "Ann King")


def insist(password, about=ANN):
    POLICY.insist(password, about=about)


@pytest.mark.parametrize("password", ["password", "Password1", "12345678", "QWERTYUIOP", "iloveyou", "trustno1"])
def test_a_common_password_is_refused_however_it_is_capitalised(password):
    with pytest.raises(WeakPassword, match="most common"):
        insist(password)


def test_more_than_the_3000_most_common_passwords_of_sufficient_length_are_known():
    assert len(POLICY._common) == 11_611
    assert min(len(password) for password in POLICY._common) == 8


@pytest.mark.parametrize(
    "password",
    [
        "ann.king@example.org",
        "Ann.King2026",
        "tidings123",
        "TidingsTidings",
        "example.org!",
        "xxking kingyy",
        "Ann King 123",
    ],
)
def test_a_password_made_of_what_everybody_knows_is_refused(password):
    with pytest.raises(WeakPassword, match="beside the user's name"):
        insist(password)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "aaaaaaab",
        "tidings of comfort and joy",
        "the king of Navarre",
        "        x",
        "\u00e4\U0001f407" * 4,
        "nothing but letters",
        "x" * 128,
    ],
)
def test_any_other_password_is_accepted_whatever_it_is_made_of(password):
    insist(password)


def test_short_names_do_not_count_because_they_stand_in_too_many_words():
    insist("Bobsled1", ("bob@b.example", "Bob"))


def test_a_refusal_says_what_would_be_right_and_repeats_nothing():
    for password in ("iloveyou", "ann.king@example.org"):
        with pytest.raises(WeakPassword) as refused:
            insist(password)

        assert password not in str(refused.value)
        assert "must have" in str(refused.value) or "choose" in str(refused.value)


def test_the_licence_of_the_list_lies_beside_it():
    assert "Dropbox" in COMMON.with_name("common_passwords.LICENSE.txt").read_text()
