"""Nouns of schedules: a schedule that says who was created, a clock that is set by hand, and what came of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from support.schedules import VirtualClock, a_schedule, ticks_of

from producer_service.metrics import Metrics
from producer_service.schedule_tables import TickRow
from producer_service.schedules.firing import Firing
from producer_service.schedules.schedule import Schedule
from producer_service.unit_of_work import units_on


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC))


@pytest.fixture
def schedule() -> Schedule:
    return a_schedule()


@pytest.fixture
def firing(engine: AsyncEngine, clock: VirtualClock) -> Firing:
    return Firing(unit_of_work=units_on(engine, source="/here"), clock=clock)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


@pytest.fixture
def fired(engine: AsyncEngine) -> Callable[[], Any]:
    """Read the ticks that were fired, in their order, as hours and minutes."""

    async def fired() -> list[str]:
        async with engine.connect() as connection:
            return ticks_of((await connection.execute(select(TickRow.tick).order_by(TickRow.tick))).scalars())

    return fired
