"""Old versions of messages, brought up to those that tasks read. Pure: `data` in, `data` out, no broker, no database.

A breaking change is a new type, and messages of the old one lie in queues, on rungs and among dead letters for weeks.
An upcaster turns their `data` into that of the next version before it is validated, so that one task is enough.

An upcaster also binds its queue to the old type. The producer then says a thing in one version or in the other: were
it said in both, this queue would get two messages with two ids, and do it twice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.contracts import WIRE_TYPE
from shared.errors import InvalidEnvelope, UpcastFailed

MISFITS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a pure function raises on a shape that it did not expect."""


@dataclass(frozen=True, slots=True)
class Upcaster:
    """One step, from a wire type to the next. `change` gets a dictionary of its own, and may alter it."""

    old: str
    new: str
    change: Callable[[dict[str, Any]], Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Refuse a step that leads nowhere, when it is written."""
        if self.old == self.new or not (WIRE_TYPE.fullmatch(self.old) and WIRE_TYPE.fullmatch(self.new)):
            raise ValueError(f"an upcaster leads from one wire type to another, not from {self.old!r} to {self.new!r}")


UPCASTERS: tuple[Upcaster, ...] = ()
"""Every step there is. None yet: no type has had a second version."""


class Upcasting:
    """The ways from old types to the types that these tasks take."""

    def __init__(self, upcasters: Iterable[Upcaster], taken: Iterable[str]) -> None:
        """Find them. Raises ValueError for two steps from one type, and for steps in a circle."""
        self._next: dict[str, Upcaster] = {}
        for step in upcasters:
            if self._next.setdefault(step.old, step) is not step:
                raise ValueError(f"two upcasters lead from {step.old}; a message has one way")
        goals = frozenset(taken)
        ways = {old: self._way(old, goals) for old in self._next}
        self._ways = {old: way for old, way in ways.items() if way}

    def __call__(self, wire_type: str, data: Any) -> tuple[str, Any]:
        """Return type and data as a task takes them, or as they were where no way leads from them.

        Raises InvalidEnvelope or UpcastFailed, and quotes no value.
        """
        for step in self._ways.get(wire_type, ()):
            wire_type, data = step.new, _changed(step, data)
        return wire_type, data

    def older(self, wire_type: str) -> tuple[str, ...]:
        """Return the types that become this one, in the order of their steps."""
        return tuple(old for old, way in self._ways.items() if way[-1].new == wire_type)

    def _way(self, old: str, goals: frozenset[str]) -> tuple[Upcaster, ...]:
        """Walk to the first type that is taken. Empty when none is."""
        way: list[Upcaster] = []
        while old not in goals:
            if old not in self._next:
                return ()
            way.append(self._next[old])
            old = way[-1].new
            if len(way) > len(self._next):
                raise ValueError(f"the upcasters from {way[0].old} lead in a circle")
        return tuple(way)


def _changed(step: Upcaster, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidEnvelope("data: Input should be an object")
    try:
        return dict(step.change(data))
    except MISFITS as error:
        raise UpcastFailed(f"{step.old} to {step.new}: {type(error).__name__}") from None
