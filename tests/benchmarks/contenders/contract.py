"""What every contender agrees on: its errand comes in the environment, and its marks go out, one JSON line each."""

import json
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

PREFIX = "BENCH_"
MARK = "mark"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a contender is to do, and where. `options` are its own, as text."""

    broker_url: str
    database_url: str
    count: int
    queue: str = "consumer.bench"
    options: dict[str, str] = field(default_factory=dict)


def as_environment(errand: Errand) -> dict[str, str]:
    """Write an errand down for a child process."""
    return {
        f"{PREFIX}BROKER_URL": errand.broker_url,
        f"{PREFIX}DATABASE_URL": errand.database_url,
        f"{PREFIX}COUNT": str(errand.count),
        f"{PREFIX}QUEUE": errand.queue,
        f"{PREFIX}OPTIONS": json.dumps(errand.options),
    }


def read_errand() -> Errand:
    """Read the errand that this process was started with, which ends with whoever gave it, however that ends."""
    threading.Thread(target=_end_with_the_giver, name="end with the giver", daemon=True).start()
    return Errand(
        broker_url=os.environ[f"{PREFIX}BROKER_URL"],
        database_url=os.environ[f"{PREFIX}DATABASE_URL"],
        count=int(os.environ[f"{PREFIX}COUNT"]),
        queue=os.environ[f"{PREFIX}QUEUE"],
        options=json.loads(os.environ[f"{PREFIX}OPTIONS"]),
    )


def _end_with_the_giver() -> None:
    """Wait for the end of our input, which the giver holds open and writes nothing to."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def mark(name: str, **numbers: Any) -> None:
    """Say that a point is reached, by the clock that all processes of this machine share."""
    print(json.dumps({MARK: name, "clock": monotonic(), **numbers}), flush=True)


def stay() -> None:
    """Wait for SIGTERM, which ends this process, so that what it has used can be read until then."""
    signal.pause()


class Tally:
    """Counts messages, and marks where the first begins and the last ends.

    Where the errand asks for `clocks`, the last mark says when each message began.
    """

    def __init__(self, errand: Errand) -> None:
        """`errand.count` messages are to come."""
        self._count = errand.count
        self._clocks: dict[str, float] | None = {} if errand.options.get("clocks") else None
        self._begun = False
        self._ended = 0

    def begin(self, message_id: str = "") -> None:
        """Note that a message is about to be worked on."""
        if self._clocks is not None:
            self._clocks[message_id] = monotonic()
        if not self._begun:
            self._begun = True
            mark("first")

    def end(self) -> None:
        """Note that one was worked on; the last is marked."""
        self._ended += 1
        if self._ended == self._count:
            mark("last", **({} if self._clocks is None else {"clocks": self._clocks}))
