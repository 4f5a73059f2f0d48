"""Lanes: bulk stands in a line of its own, and what is not bulk never waits behind it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

INDEXES = {
    "outbox_pending": (("position",), "status = 'pending'"),
    "outbox_unpublished": (("aggregateid", "position"), "status IN ('pending', 'parked')"),
    "outbox_held": (
        ("aggregateid", "position"),
        "status = 'parked' OR (status = 'pending' AND available_at IS NOT NULL)",
    ),
}
"""What a claim goes by. Small where relays keep up, so they are built in one pass; nothing is published meanwhile."""


def upgrade() -> None:
    """Go forward. What is there already stands in the normal lane."""
    op.add_column("outbox", sa.Column("lane", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    for name, (columns, where) in INDEXES.items():
        op.drop_index(name, table_name="outbox")
        _create_index(f"{name}_by_lane", "lane", *columns, where=where)


def downgrade() -> None:
    """Go back. All lanes become one."""
    for name, (columns, where) in INDEXES.items():
        op.drop_index(f"{name}_by_lane", table_name="outbox")
        _create_index(name, *columns, where=where)
    with op.batch_alter_table("outbox", table_kwargs={"sqlite_autoincrement": True}) as outbox:
        outbox.drop_column("lane")


def _create_index(name: str, *columns: str, where: str) -> None:
    op.create_index(name, "outbox", list(columns), postgresql_where=sa.text(where), sqlite_where=sa.text(where))
