"""How long to wait after the n-th failure in a row: doubling, capped, and never in step with anyone else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a random wait between `least` and a ceiling that doubles from `first` up to `most`. In seconds."""

    first: float
    most: float
    least: float = 0.0

    def ceiling(self, failures: int) -> float:
        """Return the longest wait after so many failures in a row (from 1)."""
        return max(self.least, min(self.first * 2.0 ** min(failures - 1, 60), self.most))

    def delay(self, failures: int, draw: float) -> float:
        """Return the wait after so many failures in a row (from 1); `draw` in [0, 1) is the dice."""
        return self.least + draw * (self.ceiling(failures) - self.least)
