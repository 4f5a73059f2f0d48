"""Moments and spans as an operator writes them."""

import re
from datetime import UTC, datetime, timedelta

SPAN = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhdw])")
UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def span(text: str) -> timedelta:
    """Read `90s`, `30m`, `12h`, `7d` or `2w`. Raises ValueError, saying so, for anything else."""
    found = SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no span of time; write 90s, 30m, 12h, 7d or 2w")
    return int(found["count"]) * UNITS[found["unit"]]


def moment(text: str, now: datetime) -> datetime:
    """Read an ISO 8601 time, in UTC unless it names a zone, or a span, which means so long ago.

    Raises ValueError, saying what to write, for anything else.
    """
    if SPAN.fullmatch(text.strip()):
        return now - span(text)
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment; write 2026-11-22T14:30, with +01:00 if it is not UTC, or 2h"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
