"""What would happen if a dead letter were replayed now: the very decision that a worker would make, made beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.claim import Verdict, judge
from consumer_service.dead_letters.looking import Filter, find
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.standing import Standing, standings
from consumer_service.dead_letters.stored import DeadLetter
from consumer_service.dispatch import AnyTask, Key
from consumer_service.lifecycle import State
from consumer_service.task import Guarantee
from shared.errors import EnvelopeError

AT_ONCE = 200
"""Dead letters that are read at a time, with their bodies."""


class Prospect(StrEnum):
    """What a replay would come to."""

    RUNS = "runs again"
    SKIPPED = "is skipped"
    """It was done before; the worker acks it and does nothing."""
    DIES = "dies again"
    """It cannot even start. Not replayed: it must be edited or discarded, or the code must learn to read it."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One dead letter's prospect, in words. Without its body."""

    id: int
    queue: str
    fingerprint: str
    message_id: str
    type: str | None
    task: str | None
    guarantee: Guarantee | None
    prospect: Prospect
    words: str


RUNNING: dict[Guarantee, str] = {
    Guarantee.TRANSACTIONAL: "its own rows are written once, whatever happened before",
    Guarantee.AT_LEAST_ONCE: "its effect may have happened before; it happens again with the same idempotency key",
    Guarantee.AT_MOST_ONCE: "it must not be repeated and may have happened before: look, before you replay it",
}
"""What running again means for the outside world."""

REFUSED: dict[Verdict, str] = {
    Verdict.CONFLICT: "another message with this id was seen; edit it, which gives it an id of its own, or discard it",
    Verdict.CRASH_LOOP: "too many workers died while they worked on it, and it is still marked as started",
    Verdict.AMBIGUOUS: "it must not be repeated, and was started in a replay before this one",
}


async def forecast(engine: AsyncEngine, readers: Readers, ids: Sequence[int]) -> Sequence[Forecast]:
    """Return the prospects of these, in this order, those that are gone left out."""
    foreseen: dict[int, Forecast] = {}
    for start in range(0, len(ids), AT_ONCE):
        wanted = Filter(ids=tuple(ids[start : start + AT_ONCE]), states=frozenset(State))
        letters = await find(engine, wanted)
        keys = {letter.id: key for letter in letters if (key := key_of(letter, readers))}
        standing = await standings(engine, list(keys.values()))
        for letter in letters:
            key = keys.get(letter.id)
            foreseen[letter.id] = foresee(letter, readers, standing.get(key) if key else None)
    return [foreseen[each] for each in ids if each in foreseen]


def key_of(letter: DeadLetter, readers: Readers) -> Key | None:
    """Return what the inbox remembers it by; None for one that no task of this code can read."""
    try:
        return readers.key(letter.queue, readers.read(letter.queue, letter.message))
    except EnvelopeError:
        return None


def foresee(letter: DeadLetter, readers: Readers, standing: Standing | None) -> Forecast:
    """Return the prospect of one dead letter, given what the inbox says of it. Pure."""
    try:
        envelope = readers.read(letter.queue, letter.message)
    except EnvelopeError as error:
        return _forecast(letter, None, Prospect.DIES, f"no task of this code can read it ({error.reason})")
    task = readers.task(letter.queue, envelope.type)
    if task is None or letter.reason == "id_conflict":
        return _forecast(letter, task, Prospect.DIES, REFUSED[Verdict.CONFLICT])
    verdict = _verdict(letter, task, standing)
    if verdict is Verdict.DONE:
        return _forecast(letter, task, Prospect.SKIPPED, "it was done before")
    if verdict in REFUSED:
        return _forecast(letter, task, Prospect.DIES, REFUSED[verdict])
    if verdict is Verdict.HELD:
        return _forecast(letter, task, Prospect.RUNS, "a worker has it at this moment; it waits for that one's end")
    words = RUNNING[task.guarantee] if standing else "the inbox has no trace of it"
    return _forecast(letter, task, Prospect.RUNS, words)


def _verdict(letter: DeadLetter, task: type[AnyTask], standing: Standing | None) -> Verdict:
    if standing is None:
        return Verdict.GRANTED
    replays = letter.replays + (letter.state is State.WAITING)
    return judge(standing.remembered, letter.body_hash, task.guarantee, replays=replays, is_mine=False, alone=True)


def _forecast(letter: DeadLetter, task: type[AnyTask] | None, prospect: Prospect, words: str) -> Forecast:
    return Forecast(
        id=letter.id,
        queue=letter.queue,
        fingerprint=letter.fingerprint,
        message_id=letter.message_id,
        type=letter.type,
        task=task.__name__ if task else letter.task,
        guarantee=task.guarantee if task else None,
        prospect=prospect,
        words=words,
    )
