"""What the commands have in common: which dead letters are meant, who asks, and why."""

import getpass
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from consumer_service.dead_letters.audit import Order
from consumer_service.dead_letters.looking import UNDECIDED, Filter
from consumer_service.lifecycle import State
from consumer_service.outcome import as_line
from consumer_service.queues import by_family, queue_name
from consumer_service.registry import TASKS
from consumer_service.settings import Settings, refuse

FAMILIES = tuple(by_family(TASKS))
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SPAN = re.compile(r"(\d{1,6})([smhd])")
LONGEST_OPERATOR = 255
LARGEST_ID = 2**63 - 1
"""What the database can count to."""

Ids = Annotated[
    list[int] | None,
    typer.Argument(metavar="[ID]...", min=1, max=LARGEST_ID, help="Dead letters by their numbers."),
]
OneId = Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Its number.")]
Queue = Annotated[str | None, typer.Option("--queue", "-q", help=f"One of {', '.join(FAMILIES)}.")]
Type = Annotated[str | None, typer.Option("--type", help="Wire type, as in user.created.")]
Reason = Annotated[str | None, typer.Option("--reason", help="As in retries_exhausted.")]
Fingerprint = Annotated[str | None, typer.Option("--fingerprint", "-f", help="The failure, as `groups` names it.")]
Since = Annotated[str | None, typer.Option("--since", help="Died then or later: 90m, 12h, 7d ago, or an ISO time.")]
Until = Annotated[str | None, typer.Option("--until", help="Died before then, in the same forms.")]
InState = Annotated[
    str | None,
    typer.Option("--state", help=f"One of {', '.join(State)}, or all. Without it: those that need a decision."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="So many at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line, for machines.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks. Default: TIDINGS_OPERATOR, or who is logged in.")]
Why = Annotated[str | None, typer.Option("--why", help="Why; it is written into the audit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether this is really meant.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options by which dead letters are chosen, as they were typed."""

    ids: list[int] | None = None
    queue: str | None = None
    type: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    since: str | None = None
    until: str | None = None
    state: str | None = None

    def filter(self) -> Filter:
        """Return what they mean. Exits with code 2, one line per option that means nothing."""
        problems: list[str] = []
        found = Filter(
            ids=tuple(self.ids or ()),
            queue=_queue(self.queue, problems),
            type=self.type,
            reason=self.reason,
            fingerprint=self.fingerprint,
            since=_moment("--since", self.since, problems),
            until=_moment("--until", self.until, problems),
            states=_states(self.state, problems),
        )
        if problems:
            refuse(problems)
        return found


def an_order(by: str | None, why: str | None, settings: Settings) -> Order:
    """Return who asks, and why. Exits with code 2 when nobody says why."""
    reason = as_line(why or "")
    if not reason:
        refuse(["--why is missing: say in a few words why; it is written into the audit"])
    return Order(as_line(by or settings.operator or _logged_in())[:LONGEST_OPERATOR], reason)


def make_sure(question: str, *, yes: bool) -> None:
    """Ask a person whether this is meant, unless they said so. Exits with code 2 where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        refuse([f"--yes is missing, and nobody is here to be asked: {question}"])
    typer.confirm(question, abort=True)


def a_span(option: str, text: str) -> timedelta:
    """Return a span of time, as in 30d. Exits with code 2 for anything else."""
    found = SPAN.fullmatch(text)
    if found is None:
        refuse([f"{option}: {text!r} is not a number of seconds, minutes, hours or days, as in 45s, 90m, 12h, 30d"])
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _queue(given: str | None, problems: list[str]) -> str | None:
    if given is None or given.startswith("consumer."):
        return given
    if given not in FAMILIES:
        problems.append(f"--queue: {given!r} is not one of {', '.join(FAMILIES)}")
    return queue_name(given)


def _moment(option: str, text: str | None, problems: list[str]) -> datetime | None:
    if text is None:
        return None
    if SPAN.fullmatch(text):
        return datetime.now(UTC) - a_span(option, text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problems.append(f"{option}: {text!r} is neither a span, as in 12h, nor an ISO time, as in 2026-01-31T08:00Z")
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _states(given: str | None, problems: list[str]) -> frozenset[State]:
    if given is None:
        return UNDECIDED
    if given == "all":
        return frozenset(State)
    if given not in set(State):
        problems.append(f"--state: {given!r} is not one of {', '.join(State)}, all")
        return UNDECIDED
    return frozenset({State(given)})


def _logged_in() -> str:
    """A container may run as a user who has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
