"""The command that sends dead letters back: what it would do, and the doing, by stages."""

from collections.abc import Sequence
from typing import Annotated

import typer

from consumer_service.command_line.desk import Desk, open_desk, say
from consumer_service.command_line.door import run
from consumer_service.command_line.options import (
    AsJson,
    By,
    Fingerprint,
    Ids,
    Limit,
    Queue,
    Reason,
    Since,
    Type,
    Until,
    Wanted,
    Why,
    an_order,
)
from consumer_service.command_line.tables import as_json, counted, forecasts_table
from consumer_service.dead_letters.audit import Order
from consumer_service.dead_letters.campaign import RATE, WATCH_SECONDS, Batch, Campaign, Pace, Progress, batches
from consumer_service.dead_letters.forecast import Forecast, Prospect, forecast
from consumer_service.dead_letters.looking import Filter, identify
from consumer_service.settings import refuse

STOPPED = 3
"""Exit code of a replay that stopped by itself, because going on would have done harm or led nowhere."""

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would run again, and what that means.")]
All = Annotated[bool, typer.Option("--all", help="Every dead letter; needed when nothing narrows it down.")]
Rate = Annotated[int, typer.Option("--rate", min=1, max=1000, help="Dead letters per second, at most.")]
NoCanary = Annotated[bool, typer.Option("--no-canary", help="All at once, not 1, then 10, then the rest.")]
WatchSeconds = Annotated[float, typer.Option("--watch-seconds", min=0, help="How long to wait for a stage's end.")]


def replay(
    ids: Ids = None,
    *,
    queue: Queue = None,
    type_: Type = None,
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    all_: All = False,
    dry_run: DryRun = False,
    rate: Rate = RATE,
    no_canary: NoCanary = False,
    watch_seconds: WatchSeconds = WATCH_SECONDS,
    by: By = None,
    why: Why = None,
    as_json_: AsJson = False,
) -> None:
    """Send dead letters back to the queue where they died, and to no other.

    Of each cause, one goes first, then ten, then the rest; it stops with exit code 3 when the same failure is back.
    Given again, the same command goes on where it stopped. What was done before is not done twice.
    """
    wanted = Wanted(ids, queue, type_, reason, fingerprint, since, until).filter()
    if not (wanted.is_narrow or all_):
        refuse(["say which: by ID, --queue, --fingerprint, ... as in `list`; or --all"])
    if dry_run:
        run(_foretell(wanted, limit, as_json_=as_json_))
        return
    pace = Pace(rate=rate, canary=not no_canary, watch_seconds=watch_seconds)
    raise typer.Exit(run(_replay(wanted, limit, pace, by, why)))


async def _foretell(wanted: Filter, limit: int | None, *, as_json_: bool) -> None:
    async with open_desk() as desk:
        found = await _foreseen(desk, wanted, limit)
    if as_json_:
        say([as_json(each) for each in found])
        return
    say([*forecasts_table(found), ""] if found else [])
    say([*_summary(found), "nothing was changed: this was a dry run"])


async def _foreseen(desk: Desk, wanted: Filter, limit: int | None) -> Sequence[Forecast]:
    ids = await identify(desk.engine, wanted, limit=limit)
    return await forecast(desk.engine, desk.readers, ids)


def _summary(found: Sequence[Forecast]) -> list[str]:
    kinds = [[each for each in found if each.prospect is prospect] for prospect in Prospect]
    told = [f"{len(kind)} {_verb(kind[0].prospect)}" for kind in kinds if kind]
    return [f"of {counted(len(found), 'dead letter')}: {', '.join(told)}" if told else "there are no such dead letters"]


def _verb(prospect: Prospect) -> str:
    match prospect:
        case Prospect.RUNS:
            return "would run again"
        case Prospect.SKIPPED:
            return "would be skipped, because they were done before"
        case Prospect.DIES:
            return "stay where they are, because they would only die again"


async def _replay(wanted: Filter, limit: int | None, pace: Pace, by: str | None, why: str | None) -> int:
    async with open_desk() as desk:
        order = an_order(by, why, desk.settings)
        found = await _foreseen(desk, wanted, limit)
        say(_summary(found))
        codes = [await _run_batch(desk, batch, pace, order) for batch in batches(found)]
    return max(codes, default=0)


async def _run_batch(desk: Desk, batch: Batch, pace: Pace, order: Order) -> int:
    say(["", f"{batch.queue}, fingerprint {batch.fingerprint}: {len(batch.ids)} to replay"])
    progress: Progress | None = None
    async with desk.transport.publisher() as publisher:
        campaign = Campaign(
            engine=desk.engine,
            publisher=publisher,
            collect=desk.collect_from,
            readers=desk.readers,
            order=order,
            replayable=desk.settings.replayable,
            pace=pace,
        )
        async for progress in campaign.run(batch):
            say([f"  {_told(progress)}"])
    return _ended(progress)


def _told(progress: Progress) -> str:
    results = ", ".join(f"{count} {result}" for result, count in sorted(progress.results.items()) if count)
    return f"{progress.sent} replayed, {progress.left} left: {results or 'nothing known yet'}"


def _ended(progress: Progress | None) -> int:
    if progress is None or not progress.stopped:
        return 0
    say([f"  stopped: {progress.stopped}"])
    say([f"  {progress.sent} replayed, {progress.left} left; the same command goes on with them"])
    return 1 if progress.refused else STOPPED
