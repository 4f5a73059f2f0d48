"""What a mail proves possession of an address by: a link's token, or a six-digit code.

Both services derive them from an id and a secret that they share; this is where they agree how. The id rides in an
event and proves nothing without the secret. Whoever writes the mail derives the token or the code at that moment, and
so its life begins when it is sent: a mail that waited an hour for a mail server is not dead on arrival.

- What is derived is bound to the address that it is sent to. Whoever reads an id and can publish, but does not have the
  secret, gets nothing of use by having a mail with the same id sent to another address.
- A token holds the bound id, its purpose and the time of signing, signed by itsdangerous. Any number may be signed for
  one id, and all of them are as good as the first that is redeemed.
- A code has no room for a date. As in RFC 6238 it is derived from the minute in which it is sent, and whoever checks it
  tries every minute in which a code that is still good may have been sent.
- What is stored of an id is its fingerprint alone. A code is derived from that, a token cannot be.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer

VERIFY_EMAIL = "verify-email"
RESET_PASSWORD = "reset-password"  # noqa: S105 - a purpose, not a password
VERIFICATION_CODE = "verification-code"

VERIFY_EMAIL_LIFETIME = timedelta(hours=24)
RESET_PASSWORD_LIFETIME = timedelta(minutes=30)
CODE_LIFETIME = timedelta(minutes=10)
"""All of them from sending. A code lives for at least this, and for less than a step more."""

CODE_STEP = timedelta(minutes=1)
CODE_SENT_WITHIN = timedelta(hours=2)
"""From the request. A code that could not be sent for so long is not sent any more, nor would it be good."""

SKEW = timedelta(minutes=1)
"""How far the clock of whoever signed may be ahead of the clock of whoever redeems. One step of a code."""

SHORTEST_SECRET = 32
"""Characters. A code can be found by trying all secrets, so the secret itself must be beyond trying."""


def bound(proof_id: UUID, email: str) -> UUID:
    """Return the id that is derived from and stored, for the id in an event and the address that the event names."""
    return UUID(bytes=hashlib.sha256(f"{proof_id}:{email}".encode()).digest()[:16])


def fingerprint(purpose: str, proof_id: UUID) -> bytes:
    """Return the 32 bytes that stand for an id where it is stored: enough to recognise it, not enough to sign it."""
    return hashlib.sha256(f"{purpose}:{proof_id}".encode()).digest()


class Proofs:
    """Derives and reads tokens and codes. Equal secrets derive equal ones."""

    def __init__(self, secret: str) -> None:
        """Take the secret that both services share. Raises ValueError when it is too short."""
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"the link secret needs at least {SHORTEST_SECRET} characters")
        self._secret = secret.encode()

    def token(self, purpose: str, proof_id: UUID) -> str:
        """Sign an id for one purpose, now."""
        return self._signed(purpose).dumps(str(proof_id))

    def read(self, token: str, *, purpose: str, lifetime: timedelta, now: datetime | None = None) -> UUID | None:
        """Return the id in a token, or None if it was not signed by us for this purpose within this lifetime."""
        try:
            text, signed_at = self._signed(purpose).loads(token, return_timestamp=True)
            proof_id = UUID(text)
        except (BadData, ValueError, AttributeError, TypeError):
            return None
        age = (now or datetime.now(UTC)) - signed_at
        return proof_id if -SKEW <= age <= lifetime else None

    def code(self, stored: bytes, sent_at: datetime) -> str:
        """Return the six digits, zeros in front included, for a fingerprint and the moment of sending."""
        return self._code(stored, _step(sent_at))

    def is_code(self, code: str, stored: bytes, now: datetime) -> bool:
        """Tell whether this code was, or could have been, sent for a fingerprint so lately that it is good now.

        Compares with every candidate in constant time. There are twelve, so a guess is right once in 83,000 times:
        whoever asks must count guesses.
        """
        latest, steps = _step(now + SKEW), (CODE_LIFETIME + SKEW) // CODE_STEP
        candidates = [self._code(stored, step) for step in range(latest - steps, latest + 1)]
        return sum(hmac.compare_digest(candidate.encode(), code.encode()) for candidate in candidates) > 0

    def _signed(self, purpose: str) -> URLSafeTimedSerializer:
        """Links as they are signed; the library's own defaults still say SHA-1."""
        signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(self._secret, salt=purpose, signer_kwargs=signing)

    def _code(self, stored: bytes, step: int) -> str:
        digest = hmac.digest(self._secret, b"code:" + stored + step.to_bytes(8, "big"), "sha256")
        return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06}"


def _step(moment: datetime) -> int:
    return int(moment.timestamp() // CODE_STEP.total_seconds())
