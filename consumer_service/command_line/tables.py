"""Dead letters as text: aligned tables for people, one JSON object per line for machines. Pure but for the width."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from consumer_service.dead_letters.forecast import Forecast
from consumer_service.dead_letters.looking import Group
from consumer_service.dead_letters.stored import DeadLetter

Rows = Sequence[Sequence[object]]

PRIVATE = frozenset({"body", "headers", "diff"})
"""Columns that may hold a person's data, and so stay out of lists."""


def table(titles: Sequence[str], rows: Rows) -> list[str]:
    """Return aligned lines, numbers to the right; on a terminal each is cut to its width."""
    cells = [list(titles), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(titles))]
    right = [bool(rows) and isinstance(rows[0][index], int) for index in range(len(titles))]
    lines = ["  ".join(_aligned(*each) for each in zip(line, widths, right, strict=True)).rstrip() for line in cells]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return [line if width is None or len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _aligned(text: str, width: int, right: bool) -> str:  # noqa: FBT001 - one of a row of parallel columns
    return text.rjust(width) if right else text.ljust(width)


def letters_table(letters: Sequence[DeadLetter], now: datetime) -> list[str]:
    """Return one line for each dead letter."""
    titles = ("ID", "QUEUE", "TYPE", "REASON", "FINGERPRINT", "STATE", "DIED", "DEATHS", "MESSAGE ID", "ERROR")
    rows = [
        (
            each.id,
            each.queue,
            each.type,
            each.reason,
            each.fingerprint,
            each.state,
            age(each.last_died_at, now),
            each.deaths,
            each.message_id,
            each.error,
        )
        for each in letters
    ]
    return table(titles, rows)


def groups_table(groups: Sequence[Group], now: datetime) -> list[str]:
    """Return one line for each group, the example's error last."""
    titles = ("COUNT", "QUEUE", "FINGERPRINT", "REASON", "TASK", "TYPE", "FIRST", "LAST", "EXAMPLE", "ERROR")
    rows = [
        (
            each.count,
            each.queue,
            each.fingerprint,
            each.reason,
            each.task,
            each.type if each.types <= 1 else f"{each.type} and {each.types - 1} more",
            age(each.first_died_at, now),
            age(each.last_died_at, now),
            each.example,
            each.error,
        )
        for each in groups
    ]
    return table(titles, rows)


def forecasts_table(forecasts: Sequence[Forecast]) -> list[str]:
    """Return one line for each dead letter: what a replay would come to."""
    titles = ("ID", "QUEUE", "TYPE", "TASK", "GUARANTEE", "PROSPECT", "BECAUSE")
    rows = [
        (each.id, each.queue, each.type, each.task, each.guarantee, each.prospect, each.words) for each in forecasts
    ]
    return table(titles, rows)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s: 1 dead letter, 5 dead letters."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def age(moment: datetime, now: datetime) -> str:
    """Return how long ago that was, in the largest unit that fits: 45s, 12m, 3h, 2d."""
    seconds = max(int((now - moment).total_seconds()), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def as_json(value: Any, **more: object) -> str:
    """Return a dead letter, group or forecast as one line of JSON, without what may hold a person's data."""
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.name not in PRIVATE}
    return json.dumps(fields | more, default=_plain)


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)  # type: ignore[arg-type]  # never a class
