import pytest

from producer_service.addresses import Pseudonyms, email_key

SPELLINGS = [
    ("Ann@Example.org", "ANN@EXAMPLE.ORG"),
    ("stra\u00dfe@example.org", "STRASSE@example.org"),
    ("\u0041\u030a@x.org", "\u00e5@x.org"),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_spellings_of_one_address_have_one_key_and_one_pseudonym(one, other):
    assert email_key(one) == email_key(other)
    assert Pseudonyms("secret").of(one) == Pseudonyms("secret").of(other)


def test_another_address_another_role_or_another_secret_has_another_pseudonym():
    pseudonyms = {
        Pseudonyms("secret").of("ann@example.org"),
        Pseudonyms("secret").of("bob@example.org"),
        Pseudonyms("secret").of("ann@example.org", "asking"),
        Pseudonyms("another").of("ann@example.org"),
    }

    assert len(pseudonyms) == 4
    assert {len(pseudonym) for pseudonym in pseudonyms} == {32}
