"""What the producer remembers so that users can prove who they are: proofs, sessions, and what was spent of allowances.

Nothing here could be used by whoever reads it: ids and bearer tokens are stored as hashes, addresses as pseudonyms.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from producer_service.clock import UtcDateTime, now
from producer_service.models import Base


class Proof(Base):
    """A link or a code that was asked for at one address for one purpose. A newer one takes the place of an older.

    `holder` is the pseudonym of the address, `fingerprint` stands for the id in the event. `user_id` is null for an
    address without an account: such a row is there so that asking costs the same, and can never be redeemed.
    """

    __tablename__ = "proofs"

    holder: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    consumed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("proofs_user_id", "user_id"), Index("proofs_created_at", "created_at"))


class UserSession(Base):
    """A user who has signed in. The bearer token itself is known to the client alone."""

    __tablename__ = "sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("sessions_user_id", "user_id"), Index("sessions_expires_at", "expires_at"))


class Allowance(Base):
    """How often something was done about one address since `since`. `message_id` is the message it led to last."""

    __tablename__ = "allowances"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())
    used: Mapped[int] = mapped_column(Integer)
    message_id: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("allowances_since", "since"),)
