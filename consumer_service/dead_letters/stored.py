"""A dead letter as it stands in the table, and the message that it is sent home as."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, Table

from consumer_service.dead_letters.headers import from_text
from consumer_service.dispatch import REPLAYS
from consumer_service.lifecycle import State
from consumer_service.models import ActionRow, DeadLetterRow, DeathRow
from shared.transport import ATTEMPT, Message

LETTERS = cast("Table", DeadLetterRow.__table__)
DEATHS = cast("Table", DeathRow.__table__)
ACTIONS = cast("Table", ActionRow.__table__)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row of `dead_letters`."""

    id: int
    queue: str
    message_id: str
    body_hash: bytes
    state: State
    type: str | None
    task: str | None
    subject: str | None
    source: str | None
    correlation_id: str | None
    reason: str
    error: str
    error_class: str
    fingerprint: str
    attempts: int
    replays: int
    deaths: int
    first_died_at: datetime
    last_died_at: datetime
    collected_at: datetime
    changed_at: datetime
    content_type: str | None
    time: datetime | None
    headers: Mapping[str, object]
    body: bytes
    edited_from: int | None
    diff: str | None

    @classmethod
    def of(cls, row: Row[Any]) -> "DeadLetter":
        """Return the value of a row that holds every column."""
        columns = dict(row._mapping)  # noqa: SLF001 - the documented way to a row as a mapping
        return cls(**columns | {"state": State(columns["state"]), "headers": from_text(columns["headers"])})

    @property
    def message(self) -> Message:
        """The message to send home: the old id and body, no notes of its death, the first attempt of this replay.

        The count of replays is what lets a task that must not be repeated start once more.
        """
        kept = {name: value for name, value in self.headers.items() if not name.startswith("tidings-")}
        return Message(
            body=self.body,
            content_type=self.content_type,
            message_id=self.message_id,
            type=self.type,
            source=self.source,
            correlation_id=self.correlation_id,
            time=self.time,
            headers={**kept, ATTEMPT: 1, REPLAYS: self.replays},
        )
