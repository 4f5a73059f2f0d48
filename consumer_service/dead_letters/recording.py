"""Keeps dead letters in the table: each message once, each of its deaths once, however often it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumer_service.dead_letters.headers import to_text
from consumer_service.dead_letters.letters import Letter
from consumer_service.dead_letters.stored import DEATHS, LETTERS
from consumer_service.lifecycle import State, after_death

Identity = tuple[str, str, bytes]
"""Queue, message id, body hash: by which two dead letters are the same."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the table made of one letter."""

    letter: Letter
    id: int
    state: State
    is_news: bool
    """False when this very copy had been recorded before: it was delivered again, because an ack was lost."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the table knows of a dead letter before a death is added to it."""

    id: int
    state: State
    replays: int


async def record(engine: AsyncEngine, letters: Sequence[Letter]) -> Sequence[Recorded]:
    """Keep these, commit, and say what became of each, in this order. They may be acked when this returns.

    A dead letter is the same when queue, message id and body are. When it dies again, the death is added to it, and
    `lifecycle.after_death` says whether it waits for a decision again. Repeating a call changes nothing.
    """
    if not letters:
        return []
    async with engine.begin() as connection:
        fresh = await _insert_letters(connection, letters)
        known = await _known(connection, {_identity(letter) for letter in letters})
        told = await _insert_deaths(connection, letters, known)
        return [await _conclude(connection, letter, known, fresh, told) for letter in letters]


async def _insert_letters(connection: AsyncConnection, letters: Sequence[Letter]) -> set[int]:
    """Insert first, in one order everywhere: another collector with the same letters waits here for our commit."""
    unique = {_identity(letter): letter for letter in reversed(letters)}
    rows = [_row(unique[identity]) for identity in sorted(unique)]
    statement = _insert(connection)(LETTERS).on_conflict_do_nothing().returning(LETTERS.c.id)
    return set(await connection.scalars(statement, rows))


async def _known(connection: AsyncConnection, identities: set[Identity]) -> dict[Identity, _Known]:
    same = tuple_(LETTERS.c.queue, LETTERS.c.message_id, LETTERS.c.body_hash)
    columns = (LETTERS.c.queue, LETTERS.c.message_id, LETTERS.c.body_hash, LETTERS.c.id, LETTERS.c.state)
    statement = select(*columns, LETTERS.c.replays).where(same.in_(sorted(identities))).order_by(LETTERS.c.id)
    return {
        (row.queue, row.message_id, row.body_hash): _Known(row.id, State(row.state), row.replays)
        for row in await connection.execute(statement.with_for_update())
    }


async def _insert_deaths(
    connection: AsyncConnection, letters: Sequence[Letter], known: Mapping[Identity, _Known]
) -> set[tuple[int, str]]:
    rows = [_death_row(letter, known[_identity(letter)].id) for letter in letters]
    statement = _insert(connection)(DEATHS).on_conflict_do_nothing()
    inserted = await connection.execute(statement.returning(DEATHS.c.dead_letter_id, DEATHS.c.mark), rows)
    return {(row.dead_letter_id, row.mark) for row in inserted}


async def _conclude(
    connection: AsyncConnection,
    letter: Letter,
    known: dict[Identity, _Known],
    fresh: set[int],
    told: set[tuple[int, str]],
) -> Recorded:
    """Add one death, unless it was told before; the first of a fresh row is in it already."""
    before = known[_identity(letter)]
    is_news = (before.id, letter.death.mark) in told
    told.discard((before.id, letter.death.mark))
    if not is_news or before.id in fresh:
        fresh.discard(before.id)
        return Recorded(letter, before.id, before.state, is_news)
    state = after_death(before.state, before.replays, letter.death.replays)
    await connection.execute(_dying_again(letter, before, state))
    known[_identity(letter)] = _Known(before.id, state, max(before.replays, letter.death.replays))
    return Recorded(letter, before.id, state, is_news)


def _dying_again(letter: Letter, before: _Known, state: State) -> Any:
    """An older copy that comes late is counted, and does not hide what the newest has died of."""
    values: dict[str, Any] = {"deaths": LETTERS.c.deaths + 1}
    if letter.death.replays >= before.replays:
        values |= _death_columns(letter) | {"task": letter.task, "headers": to_text(letter.message.headers)}
    if state is not before.state:
        values |= {"state": state, "changed_at": func.current_timestamp()}
    return update(LETTERS).where(LETTERS.c.id == before.id).values(values)


def _row(letter: Letter) -> dict[str, Any]:
    message = letter.message
    names = ("queue", "message_id", "body_hash", "type", "task", "subject", "source", "correlation_id")
    return {
        **{name: getattr(letter, name) for name in names},
        **_death_columns(letter),
        "first_died_at": letter.death.died_at,
        "content_type": message.content_type,
        "time": message.time,
        "headers": to_text(message.headers),
        "body": message.body,
    }


def _death_columns(letter: Letter) -> dict[str, Any]:
    death = letter.death
    names = ("reason", "error", "error_class", "fingerprint", "attempts", "replays")
    return {name: getattr(death, name) for name in names} | {"last_died_at": death.died_at}


def _death_row(letter: Letter, dead_letter_id: int) -> dict[str, Any]:
    names = ("mark", "died_at", "reason", "error", "fingerprint", "attempts", "replays")
    return {name: getattr(letter.death, name) for name in names} | {"dead_letter_id": dead_letter_id}


def _identity(letter: Letter) -> Identity:
    return letter.queue, letter.message_id, letter.body_hash


def _insert(connection: AsyncConnection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
