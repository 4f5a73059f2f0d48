"""Tells the journey of a few messages as it happens, from the log lines that the services write anyway."""

import sys
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

import structlog
from structlog.types import EventDict

DIM, GREEN, YELLOW, RED, PLAIN = "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
COLOURS = {"dead letter": RED, "retry": YELLOW, "ack": GREEN, "mail": GREEN, "replay": YELLOW}

STORY = {
    "outbox.published": ("publish", "{count} message to the exchange domain.events, mandatory and confirmed"),
    "outbox.parked": ("parked", "{type}: {reason}"),
    "delivery.started": ("delivery", "{where}: {type}, attempt {attempt}"),
    "delivery.acked": ("ack", "{where}: the inbox has it as done; the broker may forget it"),
    "delivery.duplicate": ("duplicate", "{where}: done before, so not done again"),
    "delivery.retried": (
        "retry",
        "{where}: {error}\nattempt {attempt} failed; waits {delay_seconds:g} s on a rung, not in a worker",
    ),
    "delivery.dead_lettered": ("dead letter", "{where}: {reason} on attempt {attempt}\n{error}"),
    "dead_letter.collected": ("collect", "dead letter {dead_letter} of {queue}, from the broker into the table"),
    "dead_letter.replayed": ("replay", "dead letter {dead_letter}, to {queue} alone, under its old message id"),
}
"""Which log lines belong to the story, as which step, in which words."""


class Narrator:
    """Prints one line per step, and counts the steps of each kind."""

    def __init__(self, *, say: Callable[[str], None] = print, colours: bool | None = None) -> None:
        """Start the clock."""
        self.counts: Counter[str] = Counter()
        self._say = say
        self._colours = sys.stdout.isatty() if colours is None else colours
        self._began = monotonic()

    def tell(self, step: str, text: str, *, count: bool = True) -> None:
        """Print one step; further lines of the text are indented below it."""
        self.counts[step] += count
        first, *rest = text.splitlines() or [""]
        label = f"{COLOURS.get(step, '')}{step:<12}{PLAIN}" if self._colours else f"{step:<12}"
        self._say(f"{monotonic() - self._began:6.2f}s  {label}{first}")
        for line in rest:
            self._say(f"{'':21}{line}")

    def title(self, text: str) -> None:
        """Print a heading."""
        self._say(f"\n{text}\n")

    def listen(self) -> None:
        """Take every log line of this process from now on; tell those that belong to the story."""
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, self._hear],
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )

    def _hear(self, _logger: Any, _method: str, line: EventDict) -> EventDict:
        if line["event"] in STORY:
            step, text = STORY[line["event"]]
            where = f"{line.get('queue', '')} → {line.get('task', '')}"
            self.tell(step, text.format(where=where, **line))
        raise structlog.DropEvent
