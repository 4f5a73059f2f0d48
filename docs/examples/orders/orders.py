"""A service that takes orders, with Tidings' outbox in its own database. Nothing of it stands in `shared`.

python orders.py sqlite+aiosqlite:///orders.db 4200
"""

import asyncio
import sys
from datetime import timedelta
from typing import ClassVar
from uuid import UUID, uuid4

from sqlalchemy import Connection, Uuid
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from producer_service.outbox_table import add_outbox, bring_up, record
from shared.contracts import Lane
from shared.events import Event

SOURCE = "/orders"


class OrderPlaced(Event):
    """Somebody has ordered something."""

    wire_type: ClassVar[str] = "order.placed"

    order_id: UUID
    cents: int

    @property
    def subject(self) -> str:
        """All facts about one order keep their order."""
        return str(self.order_id)


class ReviewDue(Event):
    """Somebody has had time to form an opinion of what they ordered."""

    wire_type: ClassVar[str] = "order.review_due"
    lane: ClassVar[Lane] = Lane.BULK  # Nobody waits for it, and it keeps waiting nobody who waits for an order.

    order_id: UUID

    @property
    def subject(self) -> str:
        """It is about one order."""
        return str(self.order_id)


class Base(DeclarativeBase):
    """The tables of this service."""


class Order(Base):
    """One order."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    cents: Mapped[int]


add_outbox(Base.metadata)


def migrate(connection: Connection) -> None:
    """Do what the service's migrations would do; in one of Alembic's, `bring_up(op.get_bind())`."""
    Order.metadata.tables["orders"].create(connection, checkfirst=True)
    bring_up(connection)


def place_order(session: Session | AsyncSession, cents: int) -> str:
    """Add an order, its event, and one for later, to the session's transaction; return the first event's id."""
    order = Order(id=uuid4(), cents=cents)
    session.add(order)
    record(session, ReviewDue(order_id=order.id), source=SOURCE, delay=timedelta(days=7))
    return record(session, OrderPlaced(order_id=order.id, cents=cents), source=SOURCE)


async def main(url: str, cents: int) -> None:
    """Place one order, and say under which id its event can be followed."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    async with AsyncSession(engine) as session, session.begin():
        event_id = place_order(session, cents)
    await engine.dispose()
    print(event_id)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
