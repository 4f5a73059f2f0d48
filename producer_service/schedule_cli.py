"""`python -m producer_service schedule list | preview | run-now | pause | resume | history`."""

import json as to_json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, TypeVar

import typer

from producer_service.command_line import AsJson, By, Limit, Why, on_database, operator_of, refuse
from producer_service.moments import moment
from producer_service.outbox_print import NOTHING, aligned, cell
from producer_service.schedule import declared
from producer_service.schedules.schedule import Schedule
from producer_service.schedules.tending import State, Tending
from producer_service.schedules.ticks import ticks_after
from producer_service.settings import ScheduleSettings, load_settings
from producer_service.unit_of_work import units_on

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="The name of a schedule, as listed.")]
NONE_DECLARED = "no schedule is declared; the digest of the outbox is, once TIDINGS_OPERATOR_MAIL is set"


def list_(*, json: AsJson = False) -> None:
    """List what is said when, the next and the last tick of each, and which are paused."""
    settings, schedules = _declared()
    states = _tend(settings, lambda tending: tending.states())
    rows = [_row(schedule, states) for schedule in schedules]
    if json:
        typer.echo(to_json.dumps(rows, indent=2))
    else:
        lines = aligned([list(rows[0]), *(list(map(cell, row.values())) for row in rows)]) if rows else [NONE_DECLARED]
        typer.echo("\n".join(lines))


def preview(
    name: Name,
    *,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="So many ticks.")] = 10,
    since: Annotated[str | None, typer.Option("--from", help="After this: 2027-03-27 (UTC); now if left out.")] = None,
) -> None:
    """Show the next ticks, by the clock on the wall and in UTC. Asks no database."""
    _, schedules = _declared()
    schedule = _named(name, schedules)
    for tick in islice(ticks_after(schedule, _after(since)), count):
        local = tick.astimezone(schedule.zone)
        typer.echo(f"{local.isoformat(sep=' ')} {local.tzname()}  {tick.strftime('%Y-%m-%d %H:%M:%S')} UTC")


def run_now(name: Name, *, why: Why, by: By = None) -> None:
    """Say now what the schedule says, paused or not. The next tick comes as if nothing had happened."""
    settings, schedules = _declared()
    schedule, operator = _named(name, schedules), operator_of(by, why, settings)
    recorded = _tend(settings, lambda tending: tending.run_now(schedule, operator))
    typer.echo(f"recorded {recorded}" if recorded else "it has nothing to say now")


def pause(name: Name, *, why: Why, by: By = None) -> None:
    """Let no tick of this schedule be fired until it is resumed."""
    settings, schedules = _declared()
    schedule, operator = _named(name, schedules), operator_of(by, why, settings)
    changed = _tend(settings, lambda tending: tending.pause(schedule, operator))
    typer.echo("paused" if changed else "was paused already")


def resume(name: Name, *, why: Why, by: By = None) -> None:
    """Let ticks be fired from now on. Those of the pause are not made up for."""
    settings, schedules = _declared()
    schedule, operator = _named(name, schedules), operator_of(by, why, settings)
    changed = _tend(settings, lambda tending: tending.resume(schedule, operator))
    typer.echo("resumed" if changed else "was not paused")


def history(*, limit: Limit = 50, json: AsJson = False) -> None:
    """List what operators did to schedules, the latest first: who, what, and why."""
    settings, _ = _declared()
    rows = [asdict(action) for action in _tend(settings, lambda tending: tending.actions(limit))]
    if json:
        typer.echo(to_json.dumps(rows, indent=2, default=cell))
    else:
        lines = aligned([list(rows[0]), *(list(map(cell, row.values())) for row in rows)]) if rows else [NOTHING]
        typer.echo("\n".join(lines))


def schedule_cli() -> typer.Typer:
    """Return these commands."""
    app = typer.Typer(no_args_is_help=True, help="Look after what is said by the clock.")
    app.command("list")(list_)
    app.command("run-now")(run_now)
    for command in (preview, pause, resume, history):
        app.command()(command)
    return app


def _declared() -> tuple[ScheduleSettings, Sequence[Schedule]]:
    settings = load_settings(ScheduleSettings)
    return settings, declared(operator_mail=settings.operator_mail, time_zone=settings.operator_time_zone)


def _named(name: str, schedules: Sequence[Schedule]) -> Schedule:
    found = [schedule for schedule in schedules if schedule.name == name]
    if not found:
        there = ", ".join(schedule.name for schedule in schedules)
        refuse(f"{name}: there is no such schedule; there is {there}" if there else NONE_DECLARED)
    return found[0]


def _tend(settings: ScheduleSettings, use: Callable[[Tending], Awaitable[T]]) -> T:
    return on_database(settings, lambda engine: use(Tending(units_on(engine, source=settings.event_source))))


def _row(schedule: Schedule, states: Mapping[str, State]) -> dict[str, str]:
    state = states.get(schedule.name, State(None, None))
    following = next(ticks_after(schedule, datetime.now(UTC)), None)
    return {
        "name": schedule.name,
        "when": f"{schedule.explained}, {schedule.time_zone}",
        "missed": schedule.missed,
        "next": "paused" if state.paused_at else cell(following and following.astimezone(schedule.zone)),
        "last": cell(state.last_tick and state.last_tick.astimezone(schedule.zone)),
    }


def _after(text: str | None) -> datetime:
    now = datetime.now(UTC)
    try:
        return moment(text, now) if text else now
    except ValueError as error:
        refuse(f"--from: {error}")
