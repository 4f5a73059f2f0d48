"""`python -m producer_service outbox list | show | release | cancel | republish | purge | history`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.command_line import AsJson, By, Limit, Why, on_database, operator_of, refuse
from producer_service.inspection import Entry, Inspection, Tally
from producer_service.interventions import Cancellation, Interventions
from producer_service.models import Status
from producer_service.moments import moment, span
from producer_service.outbox_print import as_json, shown, table, table_of_tallies
from producer_service.selection import Selection
from producer_service.settings import DatabaseSettings, load_settings

EventId = Annotated[str, typer.Argument(help="The id of one message.")]
Type = Annotated[str | None, typer.Option(help="Only messages of this type, such as user.created.")]
Reason = Annotated[str | None, typer.Option(help="Only messages parked for this reason, such as unroutable.")]
Aggregate = Annotated[str | None, typer.Option(help="Only messages about this aggregate id.")]
Since = Annotated[str | None, typer.Option(help="Not before: 2026-11-22T14:30 (UTC), or 2h for two hours ago.")]
Until = Annotated[str | None, typer.Option(help="Before: written as for --since.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")]
WhyUnlessDry = Annotated[str, typer.Option(help="The reason, for the record; a dry run needs none.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

TOO_LATE = {
    Cancellation.PUBLISHED: "published already",
    Cancellation.ON_ITS_WAY: "a relay may be publishing it at this moment; see where it stands, and try again",
    Cancellation.UNKNOWN: "never recorded, or purged",
}


def list_(
    *,
    status: Annotated[Status | None, typer.Option(help="What waits, parked, pending or delayed, if left out.")] = None,
    type: Type = None,  # noqa: A002 - the option's name
    reason: Reason = None,
    aggregate: Aggregate = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """List messages without their data: parked ones first, the oldest first; of published ones the latest first.

    Delayed ones come last, the next to be published first; --since and --until mean that moment.
    """
    selection = _chosen(Status.PARKED, since, until, type=type, reason=reason, aggregate=aggregate)
    statuses = (status,) if status else (Status.PARKED, Status.PENDING, Status.DELAYED)

    async def listed(engine: AsyncEngine) -> Sequence[Entry]:
        entries: list[Entry] = []
        for each in statuses:
            chosen = replace(selection, status=each)
            entries += await Inspection(engine).entries(chosen, limit - len(entries)) if len(entries) < limit else []
        return entries

    entries = on_database(load_settings(DatabaseSettings), listed)
    typer.echo(as_json(entries) if json else table(entries, limit=limit))


def show(
    event_id: EventId,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the data too; needs --why, and is recorded.")] = False,
    why: Annotated[str | None, typer.Option(help="The reason for revealing.")] = None,
    by: By = None,
) -> None:
    """Show one message; its data is masked unless it is revealed."""
    settings = load_settings(DatabaseSettings)
    operator = operator_of(by, why or "", settings) if reveal else None
    found = on_database(settings, lambda engine: Inspection(engine).entry(event_id))
    if found is None:
        typer.echo(f"{event_id}: never recorded, or purged", err=True)
        raise typer.Exit(1)
    if operator:
        on_database(settings, lambda engine: Interventions(engine).record_reveal(event_id, operator))
    typer.echo(shown(*found, reveal=reveal))


def release(
    event_id: Annotated[str | None, typer.Argument(help="One parked message; all selected ones if left out.")] = None,
    *,
    why: Why,
    by: By = None,
    type: Type = None,  # noqa: A002 - the option's name
    reason: Reason = None,
    aggregate: Aggregate = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Let parked messages be published again, once the reason for which they were parked is gone."""
    settings = load_settings(DatabaseSettings)
    operator = operator_of(by, why, settings)
    chosen = _chosen(Status.PARKED, since, until, event_id=event_id, type=type, reason=reason, aggregate=aggregate)
    released = on_database(settings, lambda engine: Interventions(engine).release(chosen, operator))
    typer.echo(f"{released} released")


def cancel(event_id: EventId, *, why: Why, by: By = None) -> None:
    """Cancel a message before it is published: a delayed one, a parked one, or one that waits for a relay."""
    settings = load_settings(DatabaseSettings)
    operator = operator_of(by, why, settings)
    outcome = on_database(settings, lambda engine: Interventions(engine).cancel(event_id, operator))
    if outcome is not Cancellation.CANCELLED:
        typer.echo(f"{event_id}: {TOO_LATE[outcome]}", err=True)
        raise typer.Exit(1)
    typer.echo("cancelled")


def republish(
    *,
    since: Annotated[str, typer.Option(help="Published not before: 2026-11-22T14:30 (UTC), or 2h.")],
    why: WhyUnlessDry = "",
    until: Until = None,
    type: Type = None,  # noqa: A002 - the option's name
    aggregate: Aggregate = None,
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Publish again what was published, under the same ids: for a broker that has lost messages.

    Readers whose inbox knows an id do nothing; the order within an aggregate is kept; relays set the pace.
    """
    settings = load_settings(DatabaseSettings)
    operator = operator_of(by, why, settings, dry_run=dry_run)
    chosen = _chosen(Status.PUBLISHED, since, until, type=type, aggregate=aggregate)
    if _goes_on(settings, chosen, "publish again", dry_run=dry_run, yes=yes):
        done = on_database(settings, lambda engine: Interventions(engine).republish(chosen, operator))
        typer.echo(f"{done} to be published again")


def purge(
    *,
    older_than: Annotated[str, typer.Option(help="Older than this: 7d, 12h.")],
    why: WhyUnlessDry = "",
    parked: Annotated[bool, typer.Option("--parked", help="Parked messages instead: they are lost.")] = False,
    type: Type = None,  # noqa: A002 - the option's name
    reason: Reason = None,
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete messages that were published long ago, before retention does; pending ones are never deleted."""
    settings = load_settings(DatabaseSettings)
    operator = operator_of(by, why, settings, dry_run=dry_run)
    if reason and not parked:
        refuse("--reason: only parked messages have one; add --parked")
    status = Status.PARKED if parked else Status.PUBLISHED
    chosen = Selection(status=status, type=type, reason=reason, until=_ago(older_than))
    if _goes_on(settings, chosen, "delete", dry_run=dry_run, yes=yes):
        done = on_database(settings, lambda engine: Interventions(engine).purge(chosen, operator))
        typer.echo(f"{done} purged")


def history(*, limit: Limit = 50, json: AsJson = False) -> None:
    """List what operators did to the outbox, the latest first: who, what, why, and how many rows it changed."""
    actions = on_database(load_settings(DatabaseSettings), lambda engine: Inspection(engine).actions(limit))
    typer.echo(as_json(actions) if json else table(actions, limit=limit))


def outbox_cli() -> typer.Typer:
    """Return these commands."""
    app = typer.Typer(no_args_is_help=True, help="Look after what waits to be published, and what was.")
    app.command("list")(list_)
    for command in (show, release, cancel, republish, purge, history):
        app.command()(command)
    return app


def _chosen(status: Status, since: str | None, until: str | None, **narrowed: str | None) -> Selection:
    """Return the rows that are meant. Exits with code 2 for a time that cannot be read."""
    return Selection(status=status, since=_moment("--since", since), until=_moment("--until", until), **narrowed)


def _goes_on(settings: DatabaseSettings, chosen: Selection, verb: str, *, dry_run: bool, yes: bool) -> bool:
    """Count first, and print it; then ask, unless there is nothing to do or to ask."""
    tallies = on_database(settings, lambda engine: Inspection(engine).tally(chosen))
    typer.echo(table_of_tallies(tallies))
    rows = _rows(tallies)
    if dry_run or not rows:
        return False
    if not yes and not sys.stdin.isatty():
        refuse(f"--yes: needed to {verb} {rows} messages where nobody can be asked")
    return yes or typer.confirm(f"{verb} {rows} messages?", abort=True)


def _rows(tallies: Sequence[Tally]) -> int:
    return sum(tally.rows for tally in tallies)


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else moment(text, datetime.now(UTC))
    except ValueError as error:
        refuse(f"{option}: {error}")


def _ago(text: str) -> datetime:
    try:
        return datetime.now(UTC) - span(text)
    except ValueError as error:
        refuse(f"--older-than: {error}")
