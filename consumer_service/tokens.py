"""What a mail proves possession by: signed links and six-digit codes, derived from an id when the mail is sent.

No secret ever rides in an event, an outbox, a queue or a dead letter: those hold an id, which proves nothing. The
service that redeems a link or a code holds the same secret and derives the same value:

- link: `URLSafeTimedSerializer(secret, salt=<purpose>, signer_kwargs=SIGNING).loads(token, max_age=<lifetime>)` is
  the id as a string. The lifetime starts at signing, so a mail that waited for a mail server is not dead on arrival.
- code: the first eight bytes of HMAC-SHA256(secret, `<purpose>:<id>`), big-endian, modulo a million.
"""

import hashlib
import hmac
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from itsdangerous import URLSafeTimedSerializer

VERIFY_EMAIL = "verify-email"
RESET_PASSWORD = "reset-password"  # noqa: S105 - a purpose, not a password
VERIFICATION_CODE = "verification-code"

VERIFY_EMAIL_LIFETIME = timedelta(hours=24)
RESET_PASSWORD_LIFETIME = timedelta(minutes=30)
VERIFICATION_CODE_LIFETIME = timedelta(minutes=10)
"""From the request, not from sending: a code has no room for a date, so whoever redeems it counts from the request."""

SIGNING: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
"""How links are signed; the library's own defaults still say SHA-1."""

SHORTEST_SECRET = 32
"""Characters. A code can be found by trying all secrets, so the secret itself must be beyond trying."""


class Tokens:
    """Derives links and codes. The same id gives the same code in every attempt, and links that are all valid."""

    def __init__(self, *, secret: str, base_url: str) -> None:
        """Take the secret and the address of the site that the links lead to.

        Links are built from configuration alone, never from a request's Host header. Raises ValueError when the
        secret is too short or the base URL is not http(s) with a host and nothing after the path.
        """
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"the link secret needs at least {SHORTEST_SECRET} characters")
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("the base URL of links is http[s]://host[/path], without query or fragment")
        self._secret = secret.encode()
        self._base_url = base_url.rstrip("/")

    def verification_link(self, verification_id: UUID) -> str:
        """Return the link by which the owner of an address verifies it, valid from now for VERIFY_EMAIL_LIFETIME."""
        return self._link(VERIFY_EMAIL, verification_id)

    def password_reset_link(self, reset_id: UUID) -> str:
        """Return the link under which a new password can be set, valid from now for RESET_PASSWORD_LIFETIME."""
        return self._link(RESET_PASSWORD, reset_id)

    def verification_code(self, code_id: UUID) -> str:
        """Return six digits, zeros in front included."""
        digest = hmac.digest(self._secret, f"{VERIFICATION_CODE}:{code_id}".encode(), "sha256")
        return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06}"

    def _link(self, purpose: str, subject: UUID) -> str:
        token = URLSafeTimedSerializer(self._secret, salt=purpose, signer_kwargs=SIGNING).dumps(str(subject))
        return f"{self._base_url}/{purpose}?{urlencode({'token': token})}"
