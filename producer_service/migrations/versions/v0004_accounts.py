"""Proofs, sessions, and what was spent of allowances."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Go forward."""
    _create_proofs()
    _create_sessions()
    _create_allowances()


def downgrade() -> None:
    """Go back. Links and codes that are out become useless, and everybody is signed out."""
    for table in ("allowances", "sessions", "proofs"):
        op.drop_table(table)


def _create_proofs() -> None:
    op.create_table(
        "proofs",
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("consumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("holder", "purpose", name="pk_proofs"),
        sa.UniqueConstraint("fingerprint", name="uq_proofs_fingerprint"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_proofs_user_id", ondelete="CASCADE"),
    )
    op.create_index("proofs_user_id", "proofs", ["user_id"])
    op.create_index("proofs_created_at", "proofs", ["created_at"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
    )
    op.create_index("sessions_user_id", "sessions", ["user_id"])
    op.create_index("sessions_expires_at", "sessions", ["expires_at"])


def _create_allowances() -> None:
    op.create_table(
        "allowances",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_allowances"),
    )
    op.create_index("allowances_since", "allowances", ["since"])
