import hashlib
import hmac
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from support.mails import ADA, LINK_SECRET

from consumer_service.tokens import RESET_PASSWORD, VERIFY_EMAIL, Tokens

AS_AGREED = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@pytest.fixture
def tokens():
    return Tokens(secret=LINK_SECRET, base_url="https://app.example.org/account/")


def redeem(link, purpose, *, max_age=60):
    token = parse_qs(urlsplit(link).query)["token"][0]
    serializer = URLSafeTimedSerializer(LINK_SECRET, salt=purpose, signer_kwargs=AS_AGREED)
    return UUID(serializer.loads(token, max_age=max_age))


def test_links_lead_to_the_configured_site(tokens):
    assert tokens.verification_link(ADA).startswith("https://app.example.org/account/verify-email?token=")
    assert tokens.password_reset_link(ADA).startswith("https://app.example.org/account/reset-password?token=")


def test_whoever_holds_the_secret_can_redeem_a_link(tokens):
    assert redeem(tokens.verification_link(ADA), VERIFY_EMAIL) == ADA
    assert redeem(tokens.password_reset_link(ADA), RESET_PASSWORD) == ADA


def test_a_link_for_one_purpose_is_worthless_for_another(tokens):
    link = tokens.verification_link(ADA)

    with pytest.raises(BadSignature):
        redeem(link, RESET_PASSWORD)


def test_a_link_expires_after_its_signing(tokens):
    link = tokens.verification_link(ADA)

    with pytest.raises(SignatureExpired):
        redeem(link, VERIFY_EMAIL, max_age=-1)


def test_a_changed_link_is_worthless(tokens):
    link = tokens.verification_link(ADA)

    with pytest.raises(BadSignature):
        redeem(link.replace("token=", "token=A"), VERIFY_EMAIL)


def test_a_code_is_what_the_page_says_it_is(tokens):
    digest = hmac.new(LINK_SECRET.encode(), f"verification-code:{ADA}".encode(), hashlib.sha256).digest()

    code = tokens.verification_code(ADA)

    assert code == str(int(digest[:8].hex(), 16))[-6:]


def test_codes_are_six_digits_even_when_they_begin_with_zero(tokens):
    codes = [tokens.verification_code(uuid4()) for _ in range(1000)]

    assert all(len(code) == 6 and code.isdecimal() for code in codes)
    assert any(code.startswith("0") for code in codes)


def test_another_secret_gives_another_code_and_a_useless_link(tokens):
    other = Tokens(secret=LINK_SECRET[::-1], base_url="https://app.example.org")

    assert other.verification_code(ADA) != tokens.verification_code(ADA)
    with pytest.raises(BadSignature):
        redeem(other.verification_link(ADA), VERIFY_EMAIL)


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        Tokens(secret="x" * 31, base_url="https://app.example.org")


@pytest.mark.parametrize(
    "url", ["app.example.org", "ftp://app.example.org", "https://", "https://a/?b=c", "https://a/#b"]
)
def test_a_base_url_that_cannot_carry_a_link_is_refused(url):
    with pytest.raises(ValueError, match="base URL"):
        Tokens(secret=LINK_SECRET, base_url=url)
