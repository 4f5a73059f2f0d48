"""How many events a key may send: a token bucket per key, in this process.

Each API process counts for itself, so with n of them a key may send n times its rate. Counting together would take one
row that every request of a key locks, and so would let them pass one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic

BURST_SECONDS = 10
"""So many seconds' worth may be sent at once, after a pause that was as long."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a key's rate, and the seconds to wait for what was asked; 0 when it was granted."""

    rate: int
    remaining: int
    wait_seconds: int

    @property
    def granted(self) -> bool:
        """Whether the events may pass."""
        return not self.wait_seconds

    def headers(self) -> dict[str, str]:
        """Return it as RateLimit fields (draft-ietf-httpapi-ratelimit-headers); none where there is no limit."""
        if not self.rate:
            return {}
        policy = f'"events";q={self.rate * BURST_SECONDS};w={BURST_SECONDS}'
        return {"RateLimit-Policy": policy, "RateLimit": f'"events";r={self.remaining};t={self.wait_seconds}'}


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """One bucket for each key that was used since the process began."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str, rate: int, events: int) -> Allowance:
        """Take so many events from a key's bucket, or nothing when it does not hold enough.

        More at once than a bucket holds are granted when it is full, and then owed: a whole batch passes at any rate.
        """
        if not rate:
            return Allowance(0, 0, 0)
        bucket, now, most = self._buckets.get(key), self._clock(), float(rate * BURST_SECONDS)
        tokens = most if bucket is None else min(most, bucket.tokens + (now - bucket.at) * rate)
        lacking = min(events, most) - tokens
        if lacking <= 0:
            tokens -= events
        self._buckets[key] = _Bucket(tokens, now)
        return Allowance(rate, max(0, int(tokens)), ceil(lacking / rate) if lacking > 0 else 0)
