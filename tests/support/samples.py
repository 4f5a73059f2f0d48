"""What a process holds, sampled over time, and whether it holds more and more."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression
from time import monotonic

from support.processes import Service, open_descriptors, resident_bytes

MEGABYTE = 1024 * 1024
WINDOWS = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment, in seconds of a monotonic clock."""

    at: float
    resident: int
    descriptors: int


def sample(service: Service) -> Sample:
    """Take one."""
    pid = service.process.pid
    return Sample(monotonic(), resident_bytes(pid), open_descriptors(pid))


@dataclass(frozen=True, slots=True)
class Trend:
    """How much more is held at the end than at the beginning, as a straight line through all samples says."""

    resident: float
    """Bytes."""
    descriptors: float

    def __str__(self) -> str:
        return f"{self.resident / MEGABYTE:+.1f} MB, {self.descriptors:+.1f} descriptors"


def trend(samples: Sequence[Sample]) -> Trend:
    """Draw the line through the lowest of each of a few windows: a password's hash holds 64 MB while it is made.

    Leaves out the first third, in which caches, pools and code are filled.
    """
    steady = samples[len(samples) // 3 :]
    size = max(1, len(steady) // WINDOWS)
    windows = [steady[begin : begin + size] for begin in range(0, len(steady), size)]
    times = [window[0].at for window in windows]
    memory = linear_regression(times, [min(each.resident for each in window) for window in windows])
    descriptors = linear_regression(times, [min(each.descriptors for each in window) for window in windows])
    span = times[-1] - times[0]
    return Trend(memory.slope * span, descriptors.slope * span)
