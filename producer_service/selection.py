"""Which outbox rows an operator means."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement

from producer_service.models import OutboxRow, Status, written_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rows of one status, narrowed by whatever is given.

    `since` (inclusive) and `until` (exclusive) speak of publication for published rows, and of recording for others:
    those are the times that have an index, or a status with few rows.
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
        when = OutboxRow.published_at if self.status is Status.PUBLISHED else OutboxRow.recorded_at
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
        """Return the order of recording; for published rows the order of publication, in which an index has them.

        Within an aggregate both are the same order.
        """
        return [OutboxRow.published_at, OutboxRow.position] if self.status is Status.PUBLISHED else [OutboxRow.position]

    def __str__(self) -> str:
        """Return what was given, as JSON: how an audit remembers it."""
        return json.dumps({name: str(value) for name, value in asdict(self).items() if value is not None})
