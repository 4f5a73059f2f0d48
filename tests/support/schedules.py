"""Schedules for tests, and time that passes when it is told to."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from support.builders import a_user_created
from support.engines import ALONE

from producer_service.schedules.schedule import Occasion, Schedule
from shared.commands import SendMail
from shared.contracts import Contract


class VirtualClock:
    """Shows what it is set to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    async def __call__(self, _session: AsyncSession) -> datetime:
        return self.now

    def goes_on(self, **span: float) -> None:
        self.now += timedelta(**span)


async def says_hello(_occasion: Occasion) -> Contract:
    return a_user_created()


async def says_a_mail(_occasion: Occasion) -> Contract:
    return SendMail(to="ann@example.org")


async def says_nothing(_occasion: Occasion) -> None:
    """Have nothing to say."""


def a_schedule(**changes: Any) -> Schedule:
    return Schedule(**({"name": "hello", "cron": "* * * * *", "says": says_hello} | changes))


def ticks_of(moments: Iterable[datetime]) -> list[str]:
    return [moment.strftime("%H:%M") for moment in moments]


def interrupt_between_steps(engine: AsyncEngine, step: Callable[[str], None]) -> None:
    """Call `step` before and after every statement and every commit of an engine; by raising it ends the work there."""
    dialect = engine.sync_engine.dialect
    engine.sync_engine.update_execution_options(**{ALONE: True})

    def around(name: str, do: Callable[..., None]) -> Callable[..., None]:
        def done(*arguments: Any, **named: Any) -> None:
            step(f"before {name}")
            do(*arguments, **named)
            step(f"after {name}")

        return done

    for name in ("do_execute", "do_commit"):
        setattr(dialect, name, around(name, getattr(dialect, name)))
