"""What the API remembers of the services that send it events: their keys, and the answers they were given."""

from datetime import datetime

from sqlalchemy import JSON, Index, Integer, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from producer_service.clock import UtcDateTime, now
from producer_service.models import Base


class ApiKey(Base):
    """One key of a client. A client may have several that live, so that one can be replaced without a gap.

    Of the secret only a SHA-256 hash is kept. A fast hash is right here: the secret is 256 random bits, which nobody
    guesses however fast the guesses are, and every request pays for the hash.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    client: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    types: Mapped[list[str]] = mapped_column(JSON)
    """Patterns of the types it may send, as in a topic binding: `order.*`, `mail.send`, `#`."""
    sources: Mapped[list[str]] = mapped_column(JSON)
    """The sources it may speak for; one that ends in `*` stands for all that begin so."""
    rate: Mapped[int] = mapped_column(Integer)
    """Events a second, for each API process; 0 for no limit."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("api_keys_client", "client"),)


class StoredAnswer(Base):
    """The answer to one request that carried an Idempotency-Key, committed with what the request recorded."""

    __tablename__ = "stored_answers"

    client: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the request: method, path, what the headers say of the body, and the body."""
    status: Mapped[int] = mapped_column(Integer)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())

    __table_args__ = (Index("stored_answers_stored_at", "stored_at"),)
