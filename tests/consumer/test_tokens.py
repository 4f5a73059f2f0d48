from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from support.mails import ADA, LINK_SECRET

from consumer_service.tokens import Tokens
from shared.proofs import RESET_PASSWORD, VERIFICATION_CODE, VERIFY_EMAIL, Proofs, bound, fingerprint

EMAIL, MALLORY = "ada@example.org", "mallory@example.org"
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def tokens():
    return Tokens(secret=LINK_SECRET, base_url="https://app.example.org/account/")


def redeem(link, purpose):
    token = parse_qs(urlsplit(link).query)["token"][0]
    return Proofs(LINK_SECRET).read(token, purpose=purpose, lifetime=timedelta(minutes=1))


def test_links_lead_to_the_configured_site(tokens):
    assert tokens.verification_link(ADA, EMAIL).startswith("https://app.example.org/account/verify-email?token=")
    assert tokens.password_reset_link(ADA, EMAIL).startswith("https://app.example.org/account/reset-password?token=")


def test_whoever_holds_the_secret_can_redeem_a_link_for_its_purpose(tokens):
    assert redeem(tokens.verification_link(ADA, EMAIL), VERIFY_EMAIL) == bound(ADA, EMAIL)
    assert redeem(tokens.password_reset_link(ADA, EMAIL), RESET_PASSWORD) == bound(ADA, EMAIL)
    assert redeem(tokens.password_reset_link(ADA, EMAIL), VERIFY_EMAIL) is None


def test_whoever_holds_the_secret_can_check_a_code(tokens):
    code = tokens.verification_code(ADA, EMAIL, NOON)

    assert Proofs(LINK_SECRET).is_code(code, fingerprint(VERIFICATION_CODE, bound(ADA, EMAIL)), NOON)


def test_what_is_sent_to_another_address_under_the_same_id_is_of_no_use(tokens):
    code = tokens.verification_code(ADA, MALLORY, NOON)

    assert redeem(tokens.verification_link(ADA, MALLORY), VERIFY_EMAIL) not in {ADA, bound(ADA, EMAIL)}
    assert redeem(tokens.password_reset_link(ADA, MALLORY), RESET_PASSWORD) not in {ADA, bound(ADA, EMAIL)}
    assert not Proofs(LINK_SECRET).is_code(code, fingerprint(VERIFICATION_CODE, bound(ADA, EMAIL)), NOON)


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        Tokens(secret="x" * 31, base_url="https://app.example.org")


@pytest.mark.parametrize(
    "url", ["app.example.org", "ftp://app.example.org", "https://", "https://a/?b=c", "https://a/#b"]
)
def test_a_base_url_that_cannot_carry_a_link_is_refused(url):
    with pytest.raises(ValueError, match="base URL"):
        Tokens(secret=LINK_SECRET, base_url=url)
