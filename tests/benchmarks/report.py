"""The numbers of a run as Markdown: how the goals were met, then a table for every study. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.goals import GOALS
from benchmarks.spread import Spread, spread_of
from benchmarks.verdicts import Results, Rounds, Verdict, verdict_on

PICTURE = "![How many times better than its peer each number is](benchmarks.svg)"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a study, and how a person reads it."""

    heading: str
    number: str
    digits: int = 0


RATE = Column("messages/s", "per_second")
CPU = (
    Column("client CPU s/1000", "client_cpu", 3),
    Column("broker CPU s/1000", "broker_cpu", 3),
    Column("database CPU s/1000", "database_cpu", 3),
)
MEMORY = Column("peak memory MB", "megabytes")
MILLISECONDS = (Column("p50 ms", "p50_ms", 2), Column("p99 ms", "p99_ms", 2))

TABLES: Mapping[str, tuple[str, tuple[Column, ...]]] = {
    "relay": ("Publishing with confirms", (RATE, *CPU, MEMORY)),
    "consume": ("Consuming a queue that stands", (RATE, *CPU, MEMORY)),
    "latency": ("On the way at 200 messages a second", MILLISECONDS),
    "http": (
        "A POST that leads to a mail; the mail server takes 1 to 3 s",
        (Column("requests/s", "rate"), *MILLISECONDS, Column("server CPU s/1000", "client_cpu", 2),
         Column("refused", "refused")),
    ),
    "ingestion": (
        "Events of other services over HTTP: 100 requests a second, or batches as fast as they are taken",
        (Column("events/s", "per_second"), *MILLISECONDS, Column("server CPU s/1000", "client_cpu", 2),
         Column("database CPU s/1000", "database_cpu", 2)),
    ),
    "scale-out": (
        "Tasks that wait 20 ms, 8 at a time in each worker",
        (Column("tasks/s", "per_second"), CPU[0], Column("memory MB", "megabytes")),
    ),
    "backlog": (
        "One claim of 500 rows, by how many are pending",
        (Column("claim ms", "claim_ms", 2), Column("mark and commit ms", "mark_ms", 2)),
    ),
    "inbox": ("Consuming beside an inbox full of old rows", (RATE, *CPU)),
    "memory": (
        "A worker's memory over one long queue",
        (Column("messages", "messages"), Column("after a tenth, MB", "early_megabytes", 1),
         Column("at the end, MB", "late_megabytes", 1), Column("growth MB", "growth_megabytes", 1)),
    ),
}  # fmt: skip


def report(results: Results, preface: Sequence[str]) -> str:
    """Return everything that goes between the markers. `preface` says what was measured on."""
    sections = [PICTURE, "\n".join(preface), *_goals(verdicts(results))]
    for study, (title, columns) in TABLES.items():
        if results.get(study):
            headings = ("", *(column.heading for column in columns))
            sections.append(f"### {title}\n\n{_table(headings, _rows(results[study], columns))}")
    return "\n\n".join(sections) + "\n"


def verdicts(results: Results) -> list[Verdict]:
    """Return how each goal was met, leaving out those of which this run knows too little."""
    return [verdict for goal in GOALS if (verdict := verdict_on(goal, results)) is not None]


def between_markers(page: str, text: str) -> str:
    """Return the page with this text between its markers. Raises ValueError where they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for it: {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _goals(found: Sequence[Verdict]) -> Iterator[str]:
    if found:
        rows = [
            (each.goal.what, f"**{_spread(each.found, 2)}**{each.goal.unit}", _limit(each, each.goal.bar),
             _limit(each, each.goal.reach), each.standing)
            for each in found
        ]  # fmt: skip
        yield "### Goals\n\n" + _table(("", "found", "bar", "to reach", ""), rows)


def _limit(verdict: Verdict, limit: float) -> str:
    return f"{'at most' if verdict.goal.less_is_better else 'at least'} {limit:g}{verdict.goal.unit}"


def _rows(study: Mapping[str, Rounds], columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    for name, rounds in study.items():
        yield (name, *(_cell(rounds, column) for column in columns))


def _cell(rounds: Rounds, column: Column) -> str:
    values = [value for each in rounds if (value := each.get(column.number)) is not None]
    return _spread(spread_of(values), column.digits) if values else "not seen"


def _spread(found: Spread, digits: int) -> str:
    """Show the median, and the least and the most beside it where they differ."""
    middle, least, most = (f"{value:,.{digits}f}" for value in (found.middle, found.least, found.most))
    return middle if least == most else f"{middle} ({least} - {most})"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    first, *others = headings
    lines = [f"| {' | '.join((first, *others))} |", f"|---|{'---:|' * len(others)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
