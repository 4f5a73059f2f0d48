"""Who did what to which dead letter, and why. Written in the transaction of what was done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumer_service.dead_letters.stored import ACTIONS, DeadLetter


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants something done, and why. Both are one printable line."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of the audit."""

    at: datetime
    action: str
    operator: str
    why: str
    details: Mapping[str, object]


async def note(
    connection: AsyncConnection,
    action: str,
    order: Order,
    letters: Sequence[DeadLetter],
    details: Mapping[str, object] | None = None,
) -> None:
    """Add one entry for each of these. `details` hold ids and counts, never what stands in a body."""
    if letters:
        rows = [_row(action, order, letter, details or {}) for letter in letters]
        await connection.execute(insert(ACTIONS), rows)


def _row(action: str, order: Order, letter: DeadLetter, details: Mapping[str, object]) -> dict[str, object]:
    return {
        "action": action,
        "operator": order.by,
        "why": order.why,
        "dead_letter_id": letter.id,
        "queue": letter.queue,
        "message_id": letter.message_id,
        "details": json.dumps({**details, "replays": letter.replays}),
    }


async def actions(engine: AsyncEngine, dead_letter_id: int) -> Sequence[Action]:
    """Return what was done with one dead letter, in the order in which it was done."""
    columns = (ACTIONS.c.at, ACTIONS.c.action, ACTIONS.c.operator, ACTIONS.c.why, ACTIONS.c.details)
    statement = select(*columns).where(ACTIONS.c.dead_letter_id == dead_letter_id).order_by(ACTIONS.c.id)
    async with engine.connect() as connection:
        rows = await connection.execute(statement)
        return [Action(row.at, row.action, row.operator, row.why, json.loads(row.details)) for row in rows]
