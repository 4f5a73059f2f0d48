"""The commands that change nothing: list, groups, show."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from consumer_service.command_line.desk import Desk, open_desk, say
from consumer_service.command_line.door import run
from consumer_service.command_line.options import (
    AsJson,
    By,
    Fingerprint,
    InState,
    Limit,
    OneId,
    Queue,
    Reason,
    Since,
    Type,
    Until,
    Wanted,
    Why,
    an_order,
)
from consumer_service.command_line.sheet import sheet
from consumer_service.command_line.tables import as_json, counted, groups_table, letters_table
from consumer_service.dead_letters.audit import Order, actions, note
from consumer_service.dead_letters.editing import readable
from consumer_service.dead_letters.forecast import forecast
from consumer_service.dead_letters.looking import Filter, Group, count, deaths, find
from consumer_service.dead_letters.looking import groups as group_by_failure
from consumer_service.dead_letters.masking import masked_body, masked_headers, printable
from consumer_service.dead_letters.stored import DeadLetter
from consumer_service.lifecycle import State
from consumer_service.settings import refuse

SHOWN = 50
"""How many are listed where nobody says how many."""

COMMAND = "python -m consumer_service dead-letters"


def list_(
    *,
    queue: Queue = None,
    type_: Type = None,
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    state: InState = None,
    limit: Limit = SHOWN,
    as_json_: AsJson = False,
) -> None:
    """List dead letters, those that died last first."""
    wanted = Wanted(None, queue, type_, reason, fingerprint, since, until, state).filter()
    run(_list(wanted, limit, as_json_=as_json_))


async def _list(wanted: Filter, limit: int | None, *, as_json_: bool) -> None:
    async with open_desk() as desk:
        letters, total = await find(desk.engine, wanted, limit=limit), await count(desk.engine, wanted)
    if as_json_:
        say([as_json(each) for each in letters])
        return
    shown = f", the last {len(letters)} of them" if len(letters) < total else ""
    say([f"{counted(total, 'dead letter')}{_whose(wanted)}{shown}"])
    say(["", *letters_table(letters, datetime.now(UTC)), "", *_next_for(letters)] if letters else [])


def _next_for(letters: Sequence[DeadLetter]) -> list[str]:
    return [f"next: {COMMAND} show {letters[0].id}", f"      {COMMAND} groups"]


def groups(
    *,
    queue: Queue = None,
    type_: Type = None,
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    state: InState = None,
    limit: Limit = SHOWN,
    as_json_: AsJson = False,
) -> None:
    """Group dead letters by what they died of, the largest group first, with one error as an example."""
    wanted = Wanted(None, queue, type_, reason, fingerprint, since, until, state).filter()
    run(_groups(wanted, limit, as_json_=as_json_))


async def _groups(wanted: Filter, limit: int | None, *, as_json_: bool) -> None:
    async with open_desk() as desk:
        found, total = await group_by_failure(desk.engine, wanted, limit=limit), await count(desk.engine, wanted)
    if as_json_:
        say([as_json(each) for each in found])
        return
    say([f"{counted(total, 'dead letter')} of {counted(len(found), 'cause')}{_whose(wanted)}"])
    say(["", *groups_table(found, datetime.now(UTC)), "", *_next_for_groups(found)] if found else [])


def _next_for_groups(found: Sequence[Group]) -> list[str]:
    first = found[0]
    return [
        f"next: {COMMAND} show {first.example}",
        f"      {COMMAND} replay --queue {first.queue} --fingerprint {first.fingerprint} --dry-run",
    ]


def _whose(wanted: Filter) -> str:
    states = "any state" if wanted.states == frozenset(State) else " or ".join(sorted(wanted.states))
    return f" ({states})"


def show(
    dead_letter: OneId,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Personal values too; needs --why, and is audited.")] = False,
    by: By = None,
    why: Why = None,
    as_json_: AsJson = False,
) -> None:
    """Show all that is known of one: how it died, what the inbox says, what was done with it, and its body, masked."""
    run(_show(dead_letter, by, why, reveal=reveal, as_json_=as_json_))


async def _show(dead_letter: int, by: str | None, why: str | None, *, reveal: bool, as_json_: bool) -> None:
    async with open_desk() as desk:
        order = an_order(by, why, desk.settings) if reveal else None
        letter = await the_one(desk, dead_letter)
        if order is not None:
            await _note_reveal(desk, letter, order)
        past, done = await deaths(desk.engine, letter.id), await actions(desk.engine, letter.id)
        (prospect,) = await forecast(desk.engine, desk.readers, [letter.id])
    body = printable(readable(letter.body) if reveal else masked_body(letter.body))
    headers = dict(letter.headers) if reveal else masked_headers(letter.headers)
    if as_json_:
        more = {"deaths": past, "actions": done, "replay": prospect.prospect, "because": prospect.words}
        say([as_json(letter, **more | {"shown_headers": headers, "shown_body": body})])
        return
    shown = printable(json.dumps(headers, default=str, indent=2, ensure_ascii=False))
    say([*sheet(letter, prospect, past, done), "", "headers", shown, "", "body", body])
    if reveal and letter.diff:
        say(["", "what was edited", printable(letter.diff)])


async def the_one(desk: Desk, dead_letter: int) -> DeadLetter:
    """Return the dead letter with this number. Exits with code 2 when there is none."""
    found = await find(desk.engine, Filter(ids=(dead_letter,), states=frozenset(State)))
    if not found:
        refuse([f"ID: there is no dead letter {dead_letter}; `{COMMAND} list --state all` shows those there are"])
    return found[0]


async def _note_reveal(desk: Desk, letter: DeadLetter, order: Order) -> None:
    """Audited first, and shown after that."""
    async with desk.engine.begin() as connection:
        await note(connection, "reveal", order, [letter])
