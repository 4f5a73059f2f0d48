"""The links and codes in mails, made when the mail is sent from an id that came with the message.

No secret ever rides in an event, an outbox, a queue or a dead letter: those hold an id, which proves nothing. How a
token or a code follows from it is agreed in `shared.proofs`, by which the producer recognises them again.
"""

from datetime import datetime
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from shared.proofs import RESET_PASSWORD, VERIFICATION_CODE, VERIFY_EMAIL, Proofs, bound, fingerprint


class Tokens:
    """Makes links and codes. Those made later for the same id and address are as good as the first, and live longer."""

    def __init__(self, *, secret: str, base_url: str) -> None:
        """Take the secret and the address of the site that the links lead to.

        Links are built from configuration alone, never from a request's Host header. Raises ValueError when the
        secret is too short or the base URL is not http(s) with a host and nothing after the path.
        """
        self._proofs = Proofs(secret)
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("the base URL of links is http[s]://host[/path], without query or fragment")
        self._base_url = base_url.rstrip("/")

    def verification_link(self, verification_id: UUID, email: str) -> str:
        """Return the link by which the owner of an address verifies it, valid from now for VERIFY_EMAIL_LIFETIME."""
        return self._link(VERIFY_EMAIL, bound(verification_id, email))

    def password_reset_link(self, reset_id: UUID, email: str) -> str:
        """Return the link under which a new password can be set, valid from now for RESET_PASSWORD_LIFETIME."""
        return self._link(RESET_PASSWORD, bound(reset_id, email))

    def verification_code(self, code_id: UUID, email: str, sent_at: datetime) -> str:
        """Return six digits, zeros in front included, valid from the moment of sending for CODE_LIFETIME."""
        return self._proofs.code(fingerprint(VERIFICATION_CODE, bound(code_id, email)), sent_at)

    def _link(self, purpose: str, proof_id: UUID) -> str:
        return f"{self._base_url}/{purpose}?{urlencode({'token': self._proofs.token(purpose, proof_id)})}"
