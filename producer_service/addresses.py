"""What stands for an e-mail address where the address itself is not needed."""

import hmac
import unicodedata


def email_key(email: str) -> str:
    """Return what two spellings of one address have in common."""
    return unicodedata.normalize("NFC", email.casefold())


class Pseudonyms:
    """Names addresses by 32 bytes, always the same, from which nobody without the secret finds the address."""

    def __init__(self, secret: str) -> None:
        """Take a secret; with another one every address has another name."""
        self._secret = secret.encode()

    def of(self, email: str, role: str = "holder") -> bytes:
        """Return the name of an address in one role; all spellings of it share the name, and no two roles do."""
        return hmac.digest(self._secret, f"pseudonym:{role}:{email_key(email)}".encode(), "sha256")
