"""Which outbox rows an operator means."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from producer_service.models import OutboxRow, Status, written_out

WHEN: Mapping[Status, InstrumentedAttribute[datetime | None]] = {
    Status.PUBLISHED: OutboxRow.published_at,
    Status.DELAYED: OutboxRow.deliver_at,
    Status.CANCELLED: OutboxRow.cancelled_at,
}
"""What `since` and `until` mean, where it is not the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rows of one status, narrowed by whatever is given.

    `since` (inclusive) and `until` (exclusive) speak of publication for published rows, of what they are held for and
    of their end for delayed and cancelled ones, and of recording for others: those are the times that have an index,
    or a status with few rows.
    """

    status: Status
    event_id: str | None = None
    type: str | None = None
    aggregate: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """Return what a row must fulfil. The status is written out, or no partial index would be used."""
        when = WHEN.get(self.status, OutboxRow.recorded_at)
        wanted: list[tuple[Any, Any]] = [
            (OutboxRow.id, self.event_id),
            (OutboxRow.type, self.type),
            (OutboxRow.aggregateid, self.aggregate),
            (OutboxRow.parked_reason, self.reason),
        ]
        narrowed = [column == value for column, value in wanted if value is not None]
        narrowed += [when >= self.since] if self.since else []
        narrowed += [when < self.until] if self.until else []
        return [OutboxRow.status == written_out(self.status), *narrowed]

    def order(self) -> Sequence[Any]:
        """Return the order of recording, where rows are pending one lane after the other; else that of their times.

        So an index has them. Within an aggregate recording and publication have the same order.
        """
        if self.status is Status.PENDING:
            return [OutboxRow.lane, OutboxRow.position]
        return [WHEN[self.status], OutboxRow.position] if self.status in WHEN else [OutboxRow.position]

    def __str__(self) -> str:
        """Return what was given, as JSON: how an audit remembers it."""
        return json.dumps({name: str(value) for name, value in asdict(self).items() if value is not None})
