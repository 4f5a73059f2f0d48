"""Messages that are held until their time has come, and messages that were cancelled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BEFORE = "status IN ('pending', 'published', 'parked')"
NOW = "status IN ('pending', 'delayed', 'published', 'parked', 'cancelled')"


def upgrade() -> None:
    """Go forward. PostgreSQL reads the table once, to check the constraint; SQLite writes it anew."""
    with op.batch_alter_table("outbox", table_kwargs={"sqlite_autoincrement": True}) as outbox:
        outbox.add_column(sa.Column("deliver_at", sa.DateTime(timezone=True), nullable=True))
        outbox.add_column(sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True))
        # The first revision gave it its prefix twice; from here on it is called as the models say.
        outbox.drop_constraint("ck_outbox_status", type_="check")
        outbox.create_check_constraint(op.f("ck_outbox_status"), NOW)
    _create_index("outbox_delayed", "deliver_at", "position", where="status = 'delayed'")
    _create_index("outbox_cancelled", "cancelled_at", where="status = 'cancelled'")


def downgrade() -> None:
    """Go back. What is delayed becomes pending, and so is published at once; what was cancelled is forgotten."""
    op.execute("UPDATE outbox SET status = 'pending' WHERE status = 'delayed'")
    op.execute("DELETE FROM outbox WHERE status = 'cancelled'")
    op.drop_index("outbox_cancelled", table_name="outbox")
    op.drop_index("outbox_delayed", table_name="outbox")
    with op.batch_alter_table("outbox", table_kwargs={"sqlite_autoincrement": True}) as outbox:
        outbox.drop_constraint(op.f("ck_outbox_status"), type_="check")
        outbox.create_check_constraint("ck_outbox_status", BEFORE)
        outbox.drop_column("cancelled_at")
        outbox.drop_column("deliver_at")


def _create_index(name: str, *columns: str, where: str) -> None:
    op.create_index(name, "outbox", list(columns), postgresql_where=sa.text(where), sqlite_where=sa.text(where))
