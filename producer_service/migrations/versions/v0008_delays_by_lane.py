"""What falls due in the normal lane is found without looking at the bulk that is due as well."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

NAME = "outbox_delayed_by_lane"
DELAYED = sa.text("status = 'delayed'")


def upgrade() -> None:
    """Go forward. Built in one pass; nothing is recorded meanwhile."""
    columns = ["lane", "deliver_at", "position"]
    op.create_index(NAME, "outbox", columns, postgresql_where=DELAYED, sqlite_where=DELAYED)


def downgrade() -> None:
    """Go back."""
    op.drop_index(NAME, table_name="outbox")
