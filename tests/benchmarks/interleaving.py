"""In which order contenders run, so that none of them always has the quiet minute. Pure."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleaved(contenders: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, contender): every contender once a round, each round beginning with the next one."""
    for number in range(rounds if contenders else 0):
        start = number % len(contenders)
        for contender in (*contenders[start:], *contenders[:start]):
            yield number, contender
