"""Finds dead letters, one by one and by groups. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.dead_letters.stored import DEATHS, LETTERS, DeadLetter
from consumer_service.lifecycle import State

UNDECIDED = frozenset({State.WAITING, State.REPLAYING})
"""What an operator has still to decide, or to finish."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are meant. What is not said is not asked for; times are those of the last death."""

    ids: tuple[int, ...] = ()
    queue: str | None = None
    type: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: frozenset[State] = UNDECIDED

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the states was asked for."""
        return self != Filter(states=self.states)

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what SQL must ask."""
        named = [(name, getattr(self, name)) for name in ("queue", "type", "reason", "fingerprint")]
        found = [LETTERS.c[name] == value for name, value in named if value is not None]
        found += [LETTERS.c.state.in_(sorted(self.states))]
        found += [LETTERS.c.id.in_(self.ids)] if self.ids else []
        found += [LETTERS.c.last_died_at >= self.since] if self.since else []
        found += [LETTERS.c.last_died_at < self.until] if self.until else []
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one queue that died of the same thing, and one of them as an example."""

    queue: str
    fingerprint: str
    reason: str
    type: str | None
    types: int
    task: str | None
    count: int
    first_died_at: datetime
    last_died_at: datetime
    example: int
    error: str


@dataclass(frozen=True, slots=True)
class PastDeath:
    """One line of a dead letter's history."""

    died_at: datetime
    reason: str
    error: str
    fingerprint: str
    attempts: int
    replays: int


async def find(engine: AsyncEngine, wanted: Filter, *, limit: int | None = None) -> Sequence[DeadLetter]:
    """Return these, those that died last first."""
    statement = _matching(select(LETTERS), wanted).order_by(LETTERS.c.last_died_at.desc(), LETTERS.c.id.desc())
    async with engine.connect() as connection:
        return [DeadLetter.of(row) for row in await connection.execute(statement.limit(limit))]


async def count(engine: AsyncEngine, wanted: Filter) -> int:
    """Return how many there are."""
    async with engine.connect() as connection:
        found: int = await connection.scalar(_matching(select(func.count()).select_from(LETTERS), wanted)) or 0
        return found


async def identify(engine: AsyncEngine, wanted: Filter, *, limit: int | None = None) -> Sequence[int]:
    """Return the ids of these, those that died first first."""
    statement = _matching(select(LETTERS.c.id), wanted).order_by(LETTERS.c.last_died_at, LETTERS.c.id)
    async with engine.connect() as connection:
        return list(await connection.scalars(statement.limit(limit)))


async def groups(engine: AsyncEngine, wanted: Filter, *, limit: int | None = None) -> Sequence[Group]:
    """Return one group for each failure in each queue, the largest first; the example is the last that came in."""
    by = (LETTERS.c.queue, LETTERS.c.fingerprint, LETTERS.c.reason)
    grouped = _matching(select(*by, *_totals()), wanted).group_by(*by).subquery()
    statement = (
        select(grouped, LETTERS.c.error)
        .join(LETTERS, LETTERS.c.id == grouped.c.example)
        .order_by(grouped.c.count.desc(), grouped.c.queue, grouped.c.fingerprint)
    )
    async with engine.connect() as connection:
        found = await connection.execute(statement.limit(limit))
        return [Group(**row) for row in found.mappings()]


def _totals() -> tuple[ColumnElement[Any], ...]:
    return (
        func.min(LETTERS.c.type).label("type"),
        func.count(LETTERS.c.type.distinct()).label("types"),
        func.min(LETTERS.c.task).label("task"),
        func.count().label("count"),
        func.min(LETTERS.c.first_died_at).label("first_died_at"),
        func.max(LETTERS.c.last_died_at).label("last_died_at"),
        func.max(LETTERS.c.id).label("example"),
    )


async def deaths(engine: AsyncEngine, dead_letter_id: int) -> Sequence[PastDeath]:
    """Return every death of one dead letter, in the order in which they were collected."""
    names = ("died_at", "reason", "error", "fingerprint", "attempts", "replays")
    columns = [DEATHS.c[name] for name in names]
    statement = select(*columns).where(DEATHS.c.dead_letter_id == dead_letter_id).order_by(DEATHS.c.id)
    async with engine.connect() as connection:
        return [PastDeath(*row) for row in await connection.execute(statement)]


def _matching(statement: Select[Any], wanted: Filter) -> Select[Any]:
    return statement.where(*wanted.conditions())
