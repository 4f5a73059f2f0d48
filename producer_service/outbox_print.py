"""The outbox on a terminal, and for programs. Nothing here shows a message's data, unless it is told to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from producer_service.inspection import Action, Entry, Tally
from producer_service.masking import masked

NOTHING = "nothing"
LISTED = ("id", "status", "type", "aggregateid", "recorded_at", "deliver_at", "attempts", "parked_reason", "last_error")
"""Of an entry, what fits on a line; `show` and JSON have the rest."""


def table(found: Sequence[Entry] | Sequence[Action], *, limit: int) -> str:
    """Return aligned lines below their headings; says so where there may be more than were asked for."""
    if not found:
        return NOTHING
    names = [field.name for field in fields(found[0]) if isinstance(found[0], Action) or field.name in LISTED]
    lines = aligned([names, *([cell(getattr(each, name)) for name in names] for each in found)])
    return "\n".join([*lines, *([f"the first {limit}; there may be more"] if len(found) == limit else [])])


def table_of_tallies(tallies: Sequence[Tally]) -> str:
    """Return a line for each type, and one for all."""
    if not tallies:
        return NOTHING
    lines = aligned([[str(each.rows), each.type, cell(each.first), "to", cell(each.last)] for each in tallies])
    return "\n".join([*lines, f"{sum(each.rows for each in tallies)} in all"])


def shown(entry: Entry, payload: bytes, *, reveal: bool) -> str:
    """Return all that is known of one message."""
    lines = aligned([[name, cell(value)] for name, value in asdict(entry).items()])
    body = _revealed(payload) if reveal else masked(payload)
    return "\n".join([*lines, json.dumps(body, indent=2, ensure_ascii=False)])


def as_json(found: Sequence[Entry] | Sequence[Action]) -> str:
    """Return a JSON array."""
    return json.dumps([asdict(each) for each in found], indent=2, default=cell)


def _revealed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def cell(value: object) -> str:
    """Return a value in one line."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return "" if value is None else " ".join(str(value).split())


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, its cells below those of the row before."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(each.ljust(width) for each, width in zip(row, widths, strict=True)).rstrip() for row in rows]
