"""What became of dead letters that were sent home. `tell` is pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.claim import Status
from consumer_service.dead_letters.forecast import key_of
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.standing import AT_ONCE, Standing, standings
from consumer_service.dead_letters.stored import LETTERS, DeadLetter
from consumer_service.lifecycle import State
from consumer_service.outcome import fingerprint_of


class Result(StrEnum):
    """What is known of one replay."""

    DONE = "done"
    CAME_BACK = "failed as before"
    DIED = "died of something else"
    TRYING = "not finished"


@dataclass(frozen=True, slots=True)
class Present:
    """A dead letter as it stands in the table now, as far as it tells what became of a replay."""

    state: State
    replays: int
    fingerprint: str


async def look(engine: AsyncEngine, readers: Readers, sent: Sequence[DeadLetter]) -> Mapping[int, Result]:
    """Return what became of these, each as it was when it was sent home, by the ids of the dead letters."""
    keys = {letter.id: key for letter in sent if (key := key_of(letter, readers))}
    standing = await standings(engine, list(keys.values()))
    present = await _present(engine, [letter.id for letter in sent])
    return {
        letter.id: tell(letter, present.get(letter.id), standing.get(keys[letter.id]) if letter.id in keys else None)
        for letter in sent
    }


async def _present(engine: AsyncEngine, ids: Sequence[int]) -> Mapping[int, Present]:
    columns = (LETTERS.c.id, LETTERS.c.state, LETTERS.c.replays, LETTERS.c.fingerprint)
    found: dict[int, Present] = {}
    async with engine.connect() as connection:
        for start in range(0, len(ids), AT_ONCE):
            wanted = select(*columns).where(LETTERS.c.id.in_(ids[start : start + AT_ONCE]))
            rows = await connection.execute(wanted)
            found |= {row.id: Present(State(row.state), row.replays, row.fingerprint) for row in rows}
    return found


def tell(sent: DeadLetter, now: Present | None, standing: Standing | None) -> Result:
    """Judge one replay by the dead letter as it is now, and by the inbox.

    A failed attempt that waits on a rung is enough to see that the same failure is back: waiting for it to die again
    would take as long as its retry policy. A transactional task leaves no trace of a failed attempt in the inbox; of
    its failures only deaths are seen.
    """
    if now is not None and now.state is State.WAITING and now.replays >= sent.replays:
        return Result.CAME_BACK if now.fingerprint == sent.fingerprint else Result.DIED
    if standing is None:
        return Result.TRYING
    if standing.remembered.status is Status.DONE:
        return Result.DONE
    return Result.CAME_BACK if _failed_as_before(sent, standing) else Result.TRYING


def _failed_as_before(sent: DeadLetter, standing: Standing) -> bool:
    has_ended = standing.remembered.status in {Status.WAITING, Status.DEAD}
    is_of_this_replay = standing.remembered.replays >= sent.replays
    return has_ended and is_of_this_replay and fingerprint_of(sent.task or "", standing.error or "") == sent.fingerprint
