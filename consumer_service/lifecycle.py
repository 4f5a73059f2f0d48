"""The life of a dead letter after its death: which state it is in, and which step leads where. Pure."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a dead letter stands."""

    WAITING = "waiting"
    """Nobody has decided yet."""
    REPLAYING = "replaying"
    """On its way back: a copy may be in its queue, or not. Replaying it again finishes what was begun."""
    REPLAYED = "replayed"
    """The broker has confirmed a copy in its queue; it becomes `waiting` when that copy dies as well."""
    EDITED = "edited"
    """Another dead letter with a mended body and an id of its own stands in its place."""
    DISCARDED = "discarded"
    """Somebody has decided that it shall not be done."""
    EXPIRED = "expired"
    """Too old to be replayed: the inbox need not remember any more whether it was done."""


class Step(StrEnum):
    """What may be done with one."""

    REPLAY = "replay"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    """The broker is known not to have taken the copy."""
    EDIT = "edit"
    DISCARD = "discard"
    EXPIRE = "expire"


NEXT: Mapping[tuple[State, Step], State] = {
    (State.WAITING, Step.REPLAY): State.REPLAYING,
    (State.REPLAYING, Step.REPLAY): State.REPLAYING,
    (State.REPLAYING, Step.CONFIRM): State.REPLAYED,
    (State.REPLAYING, Step.REFUSE): State.WAITING,
    (State.WAITING, Step.EDIT): State.EDITED,
    (State.WAITING, Step.DISCARD): State.DISCARDED,
    (State.WAITING, Step.EXPIRE): State.EXPIRED,
    (State.REPLAYING, Step.EXPIRE): State.EXPIRED,
}
"""Every step there is. What is not in here is refused."""

HELD = frozenset({State.WAITING, State.REPLAYING, State.REPLAYED})
"""States in which the message may still be worked on, so that the inbox must remember what was done with it."""

FINAL = frozenset({State.REPLAYED, State.EDITED, State.DISCARDED, State.EXPIRED})
"""States in which nobody waits for a decision, so that the dead letter may be purged."""


def allows(step: Step) -> frozenset[State]:
    """Return the states from which this step may be taken."""
    return frozenset(state for state, taken in NEXT if taken is step)


def after_death(state: State, replays: int, died_after_replays: int) -> State:
    """Return the state of a dead letter that was sent back `replays` times when one of its copies dies (again).

    A copy says how often it had been sent back. The newest one has come back: it waits for a decision again. An
    older one is a twin that was still on its way, and changes nothing that was decided since; so does a copy of what
    was discarded, however many of them come in.
    """
    if died_after_replays > replays:
        return State.WAITING
    came_back = died_after_replays == replays and state in {State.REPLAYING, State.REPLAYED}
    return State.WAITING if came_back else state
