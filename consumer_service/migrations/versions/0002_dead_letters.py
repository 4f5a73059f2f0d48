"""Dead letters, each of their deaths, and what was done with them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create all three."""
    _create_dead_letters()
    _create_deaths()
    _create_actions()


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", BIG, nullable=False),
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("state", sa.String(16), server_default="waiting", nullable=False),
        sa.Column("type", sa.String(255), nullable=True),
        sa.Column("task", sa.String(255), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.String(255), nullable=True),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("error_class", sa.String(100), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="1", nullable=False),
        sa.Column("first_died_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_died_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("collected_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("edited_from", BIG, nullable=True),
        sa.Column("diff", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
        sa.UniqueConstraint("queue", "message_id", "body_hash", name="uq_dead_letters_queue_message_id_body_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dead_letters_message_id", "dead_letters", ["message_id"])
    op.create_index("ix_dead_letters_state_last_died_at", "dead_letters", ["state", "last_died_at"])


def _create_deaths() -> None:
    op.create_table(
        "dead_letter_deaths",
        sa.Column("id", BIG, nullable=False),
        sa.Column("dead_letter_id", BIG, nullable=False),
        sa.Column("mark", sa.String(32), nullable=False),
        sa.Column("died_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letter_deaths"),
        sa.UniqueConstraint("dead_letter_id", "mark", name="uq_dead_letter_deaths_dead_letter_id_mark"),
        sa.ForeignKeyConstraint(
            ["dead_letter_id"],
            ["dead_letters.id"],
            name="fk_dead_letter_deaths_dead_letter_id",
            ondelete="CASCADE",
        ),
    )


def _create_actions() -> None:
    op.create_table(
        "dead_letter_actions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("operator", sa.String(255), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("dead_letter_id", BIG, nullable=False),
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letter_actions"),
    )
    op.create_index("ix_dead_letter_actions_dead_letter_id", "dead_letter_actions", ["dead_letter_id"])


def downgrade() -> None:
    """Drop all three, with every dead letter that was collected: replay or discard them first."""
    op.drop_table("dead_letter_actions")
    op.drop_table("dead_letter_deaths")
    op.drop_table("dead_letters")
