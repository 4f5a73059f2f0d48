"""What keeps a loop from its work, for how long, and saying so once instead of at every try."""

from random import random
from time import monotonic
from typing import Any

from sqlalchemy.exc import DBAPIError

from producer_service.backoff import Backoff


class Trouble:
    """A spell of failures in a row: logged when it begins and when it ends, waited out with growing delays."""

    def __init__(
        self, *, log: Any, backoff: Backoff, begins: str = "relay.interrupted", ends: str = "relay.resumed"
    ) -> None:
        """Begin without trouble. `begins` and `ends` are what the log calls the beginning and the end of a spell."""
        self._log = log
        self._begins = begins
        self._ends = ends
        self._backoff = backoff
        self._failures = 0
        self._since = 0.0
        self.reason = ""

    def lasts(self, reason: str) -> float:
        """Note one more failure; return how long to wait before the next try, in seconds."""
        if not self._failures:
            self._since = monotonic()
            self._log.warning(self._begins, reason=reason)
        self._failures += 1
        self.reason = reason
        return self._backoff.delay(self._failures, random())  # noqa: S311 - only jitter

    def ends(self) -> None:
        """Note a success."""
        if self._failures:
            self._log.info(self._ends, failures=self._failures, seconds=round(monotonic() - self._since, 3))
        self._failures = 0
        self.reason = ""


def describe(error: BaseException) -> str:
    """Return one line about a database error, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"[:300]
