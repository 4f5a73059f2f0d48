"""The outbox for other services: in a database of their own, written by their own sessions, drained by our relay.

    metadata = MetaData()
    add_outbox(metadata)                                    # beside the tables of the service
    record(session, OrderPlaced(...), source="/orders")     # in the transaction that changes them

The event is a `Contract` of the service's own; nothing of it has to stand in `shared`. What a session commits is
published by `python -m producer_service relay` with TIDINGS_DATABASE_URL set to that database. PostgreSQL and SQLite.
"""

from datetime import datetime, timedelta

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import (
    DropColumnOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableOp,
    MigrateOperation,
    OpContainer,
)
from sqlalchemy import CheckConstraint, Connection, MetaData, Table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from producer_service import outbox
from producer_service.delays import moment_of_delivery
from producer_service.models import Base, OutboxAction, OutboxRow
from shared.contracts import Contract, Lane
from shared.envelope import enclose

TABLES = (OutboxRow.__tablename__, OutboxAction.__tablename__)
"""The outbox, and the record of what operators did to it with `python -m producer_service outbox ...`."""

TAKING = (DropColumnOp, DropConstraintOp, DropIndexOp, DropTableOp)


def add_outbox(metadata: MetaData) -> Table:
    """Add the outbox's tables to a service's own metadata, so that its `create_all` and Alembic know them."""
    for name in TABLES:
        table = Base.metadata.tables[name].to_metadata(metadata)
        # Which statuses there are is ours to know, and `bring_up` cannot change what a CHECK says.
        table.constraints -= {each for each in table.constraints if isinstance(each, CheckConstraint)}
    return metadata.tables[OutboxRow.__tablename__]


def record(  # noqa: PLR0913 - one keyword for each thing that may be said of a message
    session: Session | AsyncSession,
    event: Contract,
    *,
    source: str,
    deliver_at: datetime | None = None,
    delay: timedelta | None = None,
    lane: Lane | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    traceparent: str | None = None,
) -> str:
    """Add an event or command to the session's transaction; return the id by which it can be followed.

    It is published if, and only if, that transaction commits: at once, or with `deliver_at` or `delay` then, within
    about a second, unless `outbox cancel` is quicker. It stands in the lane of its class unless another is given; order
    holds within a lane. Does no IO, in sync and in asyncio sessions alike.
    Raises OversizedMessage for what no reader would accept, and ValueError for a moment that makes no sense.
    """
    moment = moment_of_delivery(deliver_at=deliver_at, delay=delay)
    envelope = enclose(
        event, source=source, correlation_id=correlation_id, causation_id=causation_id, traceparent=traceparent
    )
    outbox.record(session, envelope, deliver_at=moment, lane=lane)
    return envelope.id


def bring_up(connection: Connection) -> None:
    """Create the outbox's tables, or bring those of an older release up to this one. Harmless to repeat.

    To be called from a migration of the service's own history, `bring_up(op.get_bind())`, once when the outbox is
    taken in and once more with each release of Tidings that says so. Commits nothing; drops no column, and so leaves
    a newer outbox as it is.
    """
    wanted = MetaData()
    add_outbox(wanted)
    context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
    found = produce_migrations(context, wanted).upgrade_ops
    operations = Operations(context)
    for operation in _flat(found):
        operations.invoke(operation)


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name in TABLES


def _flat(found: OpContainer | None) -> list[MigrateOperation]:
    """Return what is to be done, without what would take something away."""
    steps: list[MigrateOperation] = []
    for each in found.ops if found else []:
        steps += _flat(each) if isinstance(each, OpContainer) else [each]
    return [each for each in steps if not isinstance(each, TAKING)]
