"""Sends dead letters home: claimed in the table, published and confirmed, then marked. The only place that does.

A crash before the publish leaves `replaying` and no copy; after it, `replaying` and a copy. Nobody can tell which, so
replaying it again publishes once more under the same id and the same count of replays: the inbox makes the second copy
harmless. A timeout is treated as such a crash: it means unknown.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import case, func, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumer_service.clock import ago
from consumer_service.dead_letters.audit import Order, note
from consumer_service.dead_letters.stored import LETTERS, DeadLetter
from consumer_service.lifecycle import NEXT, State, Step, allows
from shared.errors import TransportError
from shared.topology import RETRY_RETURN
from shared.transport import Fate, Outgoing, Publisher, Receipt

SOMEBODY_ELSES = timedelta(seconds=60)
"""One that was claimed less long ago may be on its way by another process, and is left to it. Confirms take 10 s."""

log: Any = structlog.get_logger()


class Returned(NamedTuple):
    """A dead letter that was claimed, and what the broker said to its copy."""

    letter: DeadLetter
    receipt: Receipt


async def claim(
    engine: AsyncEngine,
    ids: Sequence[int],
    order: Order,
    *,
    replayable: timedelta,
    somebody_elses: timedelta = SOMEBODY_ELSES,
) -> Sequence[DeadLetter]:
    """Mark those of these as `replaying` that may be, with who and why, and return them in the order of their ids.

    One that waits counts as replayed once more. One whose replay was begun and not finished keeps its count. One that
    died longer ago than `replayable` is left alone: the inbox may have forgotten it.
    """
    dialect = engine.dialect.name
    begun_long_ago = (LETTERS.c.state == State.REPLAYING) & (LETTERS.c.changed_at <= ago(dialect, somebody_elses))
    statement = (
        update(LETTERS)
        .where(LETTERS.c.id.in_(ids), or_(LETTERS.c.state == State.WAITING, begun_long_ago))
        .where(LETTERS.c.last_died_at > ago(dialect, replayable))
        .values(
            state=NEXT[State.WAITING, Step.REPLAY],
            replays=LETTERS.c.replays + case((LETTERS.c.state == State.WAITING, 1), else_=0),
            changed_at=func.current_timestamp(),
        )
        .returning(LETTERS)
    )
    async with engine.begin() as connection:
        claimed = [DeadLetter.of(row) for row in await connection.execute(statement)]
        await note(connection, Step.REPLAY, order, claimed)
    return sorted(claimed, key=lambda letter: letter.id)


async def send_home(engine: AsyncEngine, publisher: Publisher, claimed: Sequence[DeadLetter]) -> Sequence[Returned]:
    """Publish what was claimed, each to its own queue alone, mark it, and return what the broker said of each.

    Confirmed: `replayed`. Not taken for certain: `waiting` again. Unknown: stays `replaying`, to be replayed again.
    Raises TransportError when no session could be opened; what was not sent waits again.
    """
    returned: list[Returned] = []
    waves = _waves(claimed)
    for number, wave in enumerate(waves):
        try:
            receipts = await publisher.publish([_homeward(letter) for letter in wave])
        except TransportError:
            await _mark(engine, [letter for unsent in waves[number:] for letter in unsent], Step.REFUSE)
            raise
        answered = [Returned(*each) for each in zip(wave, receipts, strict=True)]
        await _conclude(engine, answered)
        returned += answered
    return returned


def _waves(claimed: Sequence[DeadLetter]) -> Sequence[Sequence[DeadLetter]]:
    """Part those that share a message id: a publisher tells the messages in the air apart by their ids."""
    waves: list[dict[str, DeadLetter]] = []
    for letter in claimed:
        wave = next((wave for wave in waves if letter.message_id not in wave), None)
        if wave is None:
            waves.append(wave := {})
        wave[letter.message_id] = letter
    return [list(wave.values()) for wave in waves]


async def _conclude(engine: AsyncEngine, returned: Sequence[Returned]) -> None:
    known = [each for each in returned if each.receipt.fate is not Fate.UNKNOWN]
    await _mark(engine, [each.letter for each in known if each.receipt.fate is Fate.CONFIRMED], Step.CONFIRM)
    await _mark(engine, [each.letter for each in known if each.receipt.fate is not Fate.CONFIRMED], Step.REFUSE)
    for each in returned:
        _report(each)


def _homeward(letter: DeadLetter) -> Outgoing:
    return Outgoing(RETRY_RETURN.name, letter.queue, letter.message)


async def _mark(engine: AsyncEngine, letters: Sequence[DeadLetter], step: Step) -> None:
    """Take a step with those that still are where we have put them: one may have died again meanwhile."""
    if letters:
        async with engine.begin() as connection:
            await advance(connection, [letter.id for letter in letters], step)


async def advance(connection: AsyncConnection, ids: Sequence[int], step: Step) -> Sequence[DeadLetter]:
    """Take this step with each of these that is in a state which allows it, and return those as they are after it."""
    moved: list[DeadLetter] = []
    for state in sorted(allows(step)):
        statement = (
            update(LETTERS)
            .where(LETTERS.c.id.in_(ids), LETTERS.c.state == state)
            .values(state=NEXT[state, step], changed_at=func.current_timestamp())
        )
        moved += [DeadLetter.of(row) for row in await connection.execute(statement.returning(LETTERS))]
    return moved


def _report(returned: Returned) -> None:
    letter, receipt = returned
    outcome = {Fate.CONFIRMED: "replayed", Fate.UNKNOWN: "replay_unknown"}.get(receipt.fate, "replay_refused")
    (log.info if receipt.fate is Fate.CONFIRMED else log.warning)(
        f"dead_letter.{outcome}",
        dead_letter=letter.id,
        queue=letter.queue,
        message_id=letter.message_id,
        type=letter.type,
        correlation_id=letter.correlation_id,
        replays=letter.replays,
        detail=receipt.detail,
    )
