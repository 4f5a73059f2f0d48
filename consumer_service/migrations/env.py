"""What Alembic runs: our migrations, over the connection it was given."""

from alembic import context

from consumer_service.migrations import VERSION_TABLE
from consumer_service.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=True,
    include_name=lambda name, kind, _parents: kind != "table" or name in Base.metadata.tables,
)
context.run_migrations()
