"""Devices from which the owner of an address has signed in before: how a stranger's guesses cannot lock the owner out.

Whoever signs in gets a mark for this device, to be shown with the next attempt. Attempts with a mark are counted by
themselves; a stranger has none, and uses up the strangers' attempts alone. (This is what OWASP calls device cookies.) A
mark is no credential: it opens nothing without the password.
"""

import hashlib
import secrets
from datetime import timedelta

from itsdangerous import BadData, URLSafeTimedSerializer

LIFETIME = timedelta(days=90)
"""Of a mark. Every sign-in makes a new one."""


class Devices:
    """Makes marks and recognises them."""

    def __init__(self, secret: str) -> None:
        """Take the secret that signs marks."""
        signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._signed = URLSafeTimedSerializer(secret.encode(), salt="device", signer_kwargs=signing)

    def mark(self, holder: bytes) -> str:
        """Return a new mark for a device from which the holder of this address has signed in."""
        return self._signed.dumps([holder.hex(), secrets.token_hex(16)])

    def recognise(self, mark: str, holder: bytes) -> str | None:
        """Return what names the device of a mark, or None if it is not a mark for this address, or too old."""
        try:
            signed = self._signed.loads(mark, max_age=int(LIFETIME.total_seconds()))
        except BadData:
            return None
        known_holder, device = signed
        return str(device) if known_holder == holder.hex() else None
