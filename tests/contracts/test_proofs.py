import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from itsdangerous import URLSafeTimedSerializer

from shared.proofs import (
    CODE_LIFETIME,
    CODE_STEP,
    RESET_PASSWORD,
    VERIFICATION_CODE,
    VERIFY_EMAIL,
    VERIFY_EMAIL_LIFETIME,
    Proofs,
    bound,
    fingerprint,
)

SECRET = "a secret of more than thirty-two characters"
PROOFS = Proofs(SECRET)
ONE = UUID("0198aaaa-0000-7000-8000-0000000000ad")
STORED = fingerprint(VERIFICATION_CODE, ONE)
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
A_SECOND = timedelta(seconds=1)


def read(token, *, purpose=VERIFY_EMAIL, after=timedelta(), proofs=PROOFS):
    return proofs.read(token, purpose=purpose, lifetime=VERIFY_EMAIL_LIFETIME, now=datetime.now(UTC) + after)


def test_a_token_tells_the_id_it_was_signed_for():
    assert read(PROOFS.token(VERIFY_EMAIL, ONE)) == ONE


def test_a_token_lives_from_its_signing():
    token = PROOFS.token(VERIFY_EMAIL, ONE)

    assert read(token, after=VERIFY_EMAIL_LIFETIME - A_SECOND) == ONE
    assert read(token, after=VERIFY_EMAIL_LIFETIME + 2 * A_SECOND) is None


def test_a_clock_that_runs_ahead_spoils_no_token_but_one_from_the_future_is_refused():
    token = PROOFS.token(VERIFY_EMAIL, ONE)

    assert read(token, after=timedelta(seconds=-50)) == ONE
    assert read(token, after=timedelta(minutes=-2)) is None


def test_a_token_for_one_purpose_is_worthless_for_another():
    assert read(PROOFS.token(VERIFY_EMAIL, ONE), purpose=RESET_PASSWORD) is None


def test_a_token_signed_with_another_secret_is_worthless():
    assert read(Proofs(SECRET[::-1]).token(VERIFY_EMAIL, ONE)) is None


@pytest.mark.parametrize(
    "token", ["", ".", "a.b.c", "\0", "ä" * 100, "x" * 100_000, "=?UTF-8?Q?=0A?=", "a.b", "🐇.x.y"]
)
def test_what_is_no_token_is_refused_without_an_error(token):
    assert read(token) is None


@pytest.mark.parametrize("signed", ["nonsense", 7, None, [], {"id": str(ONE)}])
def test_a_token_of_ours_that_holds_no_id_is_refused_without_an_error(signed):
    signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}

    token = URLSafeTimedSerializer(SECRET, salt=VERIFY_EMAIL, signer_kwargs=signing).dumps(signed)

    assert read(token) is None


def test_what_is_stored_of_an_id_depends_on_its_purpose_and_does_not_show_it():
    assert fingerprint(VERIFY_EMAIL, ONE) == hashlib.sha256(f"verify-email:{ONE}".encode()).digest()
    assert fingerprint(VERIFY_EMAIL, ONE) != fingerprint(RESET_PASSWORD, ONE)


def test_an_id_is_bound_to_the_address_that_its_event_names():
    assert bound(ONE, "ann@example.org").bytes == hashlib.sha256(f"{ONE}:ann@example.org".encode()).digest()[:16]
    assert (
        len({ONE, bound(ONE, "ann@example.org"), bound(ONE, "bob@example.org"), bound(uuid4(), "ann@example.org")}) == 4
    )


def test_a_code_is_what_the_page_says_it_is():
    minute = int(NOON.timestamp()) // 60
    digest = hmac.new(SECRET.encode(), b"code:" + STORED + minute.to_bytes(8, "big"), hashlib.sha256).digest()

    assert PROOFS.code(STORED, NOON) == str(int(digest[:8].hex(), 16))[-6:]


def test_codes_are_six_digits_even_when_they_begin_with_zero():
    codes = [PROOFS.code(fingerprint(VERIFICATION_CODE, uuid4()), NOON) for _ in range(1000)]

    assert all(len(code) == 6 and code.isdecimal() for code in codes)
    assert any(code.startswith("0") for code in codes)


@pytest.mark.parametrize("second", [0, 1, 30, 59])
def test_a_code_lives_ten_minutes_from_its_sending_whenever_it_is_sent(second):
    sent_at = NOON + timedelta(seconds=second)
    code = PROOFS.code(STORED, sent_at)

    assert PROOFS.is_code(code, STORED, sent_at)
    assert PROOFS.is_code(code, STORED, sent_at + CODE_LIFETIME)
    assert not PROOFS.is_code(code, STORED, sent_at + CODE_LIFETIME + CODE_STEP)


def test_a_code_of_a_clock_that_runs_ahead_is_good_but_one_from_the_future_is_not():
    assert PROOFS.is_code(PROOFS.code(STORED, NOON + timedelta(seconds=50)), STORED, NOON)
    assert not PROOFS.is_code(PROOFS.code(STORED, NOON + timedelta(minutes=2)), STORED, NOON)


def test_of_a_million_guesses_no_more_than_twelve_are_right():
    right = sum(PROOFS.is_code(f"{guess:06}", STORED, NOON) for guess in range(0, 1_000_000, 500))
    candidates = {PROOFS.code(STORED, NOON + minutes * CODE_STEP) for minutes in range(-10, 2)}

    assert right <= len(candidates) <= 12
    assert all(PROOFS.is_code(candidate, STORED, NOON) for candidate in candidates)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\uff11" * 6, "\0" * 6])
def test_what_is_no_code_is_refused_without_an_error(code):
    assert not PROOFS.is_code(code, STORED, NOON)


def test_another_id_or_another_secret_has_another_code():
    codes = {
        PROOFS.code(STORED, NOON),
        PROOFS.code(fingerprint(VERIFICATION_CODE, uuid4()), NOON),
        Proofs(SECRET[::-1]).code(STORED, NOON),
    }

    assert len(codes) == 3


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        Proofs("x" * 31)
