"""The commands that decide: edit, discard, purge. Each asks why, and writes into the audit who it was."""

import sys
from pathlib import Path
from subprocess import CalledProcessError
from typing import Annotated

import typer

from consumer_service.command_line.desk import Desk, open_desk, say
from consumer_service.command_line.door import run
from consumer_service.command_line.editor import edited
from consumer_service.command_line.options import (
    By,
    Fingerprint,
    Ids,
    OneId,
    Queue,
    Reason,
    Since,
    Type,
    Until,
    Wanted,
    Why,
    Yes,
    a_span,
    an_order,
    make_sure,
)
from consumer_service.command_line.showing import the_one
from consumer_service.command_line.tables import counted
from consumer_service.dead_letters import closing
from consumer_service.dead_letters.audit import Order, note
from consumer_service.dead_letters.editing import difference, mended, readable
from consumer_service.dead_letters.editing import edit as put_in_place
from consumer_service.dead_letters.looking import Filter, identify
from consumer_service.dead_letters.masking import printable
from consumer_service.dead_letters.returning import send_home
from consumer_service.dead_letters.stored import DeadLetter
from consumer_service.lifecycle import State
from consumer_service.settings import refuse
from shared.errors import EnvelopeError
from shared.transport import Fate, Message


def edit(
    dead_letter: OneId,
    *,
    body: Annotated[str | None, typer.Option("--body", help="File with the mended body, - for standard input.")] = None,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Even if no task of this code can read it.")] = False,
    by: By = None,
    why: Why = None,
) -> None:
    """Mend the body of one, and send it back under an id of its own. The original is kept, with what has changed.

    Without --body, on a terminal, opens $EDITOR. What the inbox knows of the original does not hold for the mended
    one: what the original has done, this does again.
    """
    raise typer.Exit(run(_edit(dead_letter, body, by, why, unchecked=unchecked)))


async def _edit(dead_letter: int, source: str | None, by: str | None, why: str | None, *, unchecked: bool) -> int:
    async with open_desk() as desk:
        order = an_order(by, why, desk.settings)
        letter = await the_one(desk, dead_letter)
        if letter.state is not State.WAITING:
            refuse([f"ID: dead letter {letter.id} is {letter.state}; only one that is waiting can be edited"])
        body = _read(source) if source else await _from_editor(desk, letter, order)
        if not difference(letter.body, body):
            refuse(["--body: nothing was changed; to send it back as it is, use replay"])
        message = mended(letter, body)
        if not unchecked:
            _check(desk, letter, message)
        return await _put_and_send(desk, letter, message, order)


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        refuse([f"--body: {source}: {error.strerror}"])


async def _from_editor(desk: Desk, letter: DeadLetter, order: Order) -> bytes:
    """Open the body in an editor, which reveals it."""
    if not sys.stdin.isatty():
        refuse(["--body is missing, and there is no terminal to open an editor on"])
    async with desk.engine.begin() as connection:
        await note(connection, "reveal", order, [letter])
    try:
        return edited(readable(letter.body)).encode()
    except (OSError, CalledProcessError) as error:
        refuse([f"the editor failed ({error}); set EDITOR, or give the mended body with --body"])


def _check(desk: Desk, letter: DeadLetter, message: Message) -> None:
    try:
        desk.readers.read(letter.queue, message)
    except EnvelopeError as error:
        refuse([f"--body: {error.reason}: {error}; --unchecked sends it all the same"])


async def _put_and_send(desk: Desk, letter: DeadLetter, message: Message, order: Order) -> int:
    successor = await put_in_place(desk.engine, letter, message, order, desk.readers)
    if successor is None:
        refuse([f"ID: dead letter {letter.id} does not wait any more; somebody else has decided meanwhile"])
    say([printable(successor.diff or ""), ""])
    async with desk.transport.publisher() as publisher:
        ((_, receipt),) = await send_home(desk.engine, publisher, [successor])
    if receipt.fate is not Fate.CONFIRMED:
        say([f"not confirmed: {receipt.fate}, {receipt.detail}; `replay {successor.id}` goes on with it"])
        return 1
    say([f"dead letter {letter.id} is edited; {successor.id} went to {letter.queue} in its place, with a new id"])
    return 0


def discard(
    ids: Ids = None,
    *,
    queue: Queue = None,
    type_: Type = None,
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    by: By = None,
    why: Why = None,
) -> None:
    """Decide that these shall not be done. They stay in the table until they are purged or grow old."""
    wanted = Wanted(ids, queue, type_, reason, fingerprint, since, until, State.WAITING).filter()
    if not wanted.is_narrow:
        refuse(["say which: by ID, --queue, --fingerprint, ... as in `list`"])
    run(_discard(wanted, by, why, yes=yes))


async def _discard(wanted: Filter, by: str | None, why: str | None, *, yes: bool) -> None:
    async with open_desk() as desk:
        order = an_order(by, why, desk.settings)
        ids = await identify(desk.engine, wanted)
        say([f"meant: {counted(len(ids), 'dead letter')} that wait for a decision"])
        if len(ids) > 1:
            make_sure(f"discard {counted(len(ids), 'dead letter')}?", yes=yes)
        say([f"discarded {await closing.discard(desk.engine, ids, order)}"])


def purge(
    *,
    older_than: Annotated[str, typer.Option("--older-than", help="As in 30d: decided longer ago than this.")],
    queue: Queue = None,
    yes: Yes = False,
    by: By = None,
    why: Why = None,
) -> None:
    """Delete dead letters on which was decided: replayed, edited, discarded, expired. The audit of them stays."""
    span, wanted = a_span("--older-than", older_than), Wanted(queue=queue).filter()

    async def work() -> None:
        async with open_desk() as desk:
            order = an_order(by, why, desk.settings)
            ids = await closing.purgeable(desk.engine, span, wanted.queue)
            say([f"meant: {counted(len(ids), 'dead letter')} decided on longer than {older_than} ago"])
            if ids:
                make_sure(f"delete {counted(len(ids), 'dead letter')} for ever?", yes=yes)
            say([f"purged {await closing.purge(desk.engine, ids, order)}"])

    run(work())
