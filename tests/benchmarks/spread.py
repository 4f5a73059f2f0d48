"""What several rounds say together: a median, and how far they lie apart. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the most of its rounds."""

    middle: float
    least: float
    most: float


def spread_of(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    return Spread(median(values), min(values), max(values))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Return the spread of the ratios round by round: what was measured beside each other is compared.

    Raises ValueError where the rounds are not paired.
    """
    return spread_of([above / below for above, below in zip(numerators, denominators, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least this share (0 to 1) of them do not exceed: the nearest rank.

    No value is made up between two, so the 99th percentile is a latency that somebody really saw.
    """
    ordered = sorted(values)
    return ordered[max(ceil(share * len(ordered)), 1) - 1]
