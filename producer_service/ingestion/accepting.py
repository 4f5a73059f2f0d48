"""The use case: what another service sends is recorded in one transaction, once, and its answer with it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from producer_service.ingestion.idempotency import Answer, InProgress, Once, Turns, store_answer, stored_answer
from producer_service.ingestion.placement import AT_ONCE, Placement
from producer_service.ingestion.refusals import FieldError, Location, Reason, Refusal
from producer_service.ingestion.rows import conflicting, insert_new, same_message
from producer_service.outbox import row_of
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.contracts import Contract
from shared.envelope import Envelope
from shared.errors import OversizedMessage
from shared.transport import LARGEST_BODY

WAITED_IN_VAIN = frozenset({"40P01", "55P03"})
"""What PostgreSQL calls a deadlock, and a lock that was not to be had in time."""

TAKEN = "belongs to another message already; an id is unique among all messages: take a UUID"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One event that was read; `at` is where in the body it stands."""

    envelope: Envelope[Contract]
    at: Location = ()
    placement: Placement = AT_ONCE


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is recorded, by this request or by an earlier one that said the same."""

    event_id: str


Outcome = Accepted | Refusal
Read = Callable[[], Awaitable[Sequence[Candidate | Refusal]]]
"""Reads what was offered. May raise."""

Tell = Callable[[Sequence[Outcome]], Answer]
"""Makes the answer out of what became of each event, in their order. May raise, and then nothing is recorded."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a request is answered, whether it was answered before, and how many events it has had accepted now."""

    answer: Answer
    accepted: int
    is_repeated: bool


class Ingestion:
    """Records what other services send."""

    def __init__(self, unit_of_work: Callable[[Travel], UnitOfWork]) -> None:
        """`unit_of_work` opens one transaction for one request."""
        self._unit_of_work = unit_of_work
        self._turns = Turns()

    async def accept(self, read: Read, travel: Travel, *, once: Once | None, tell: Tell) -> Done:
        """Read, record, and answer; a request that was answered before is neither read nor recorded again.

        Raises KeyReused for the key in `once`, InProgress for it or for ids that another request is recording, and
        whatever `read` and `tell` raise; then nothing was recorded, and no answer was stored.
        """
        with self._turns.taken(once):
            async with self._unit_of_work(travel) as unit:
                before = await stored_answer(unit.session, once) if once else None
                if before:
                    return Done(before, accepted=0, is_repeated=True)
                with _told_when_another_is_at_it():
                    outcomes = await _record(unit, await read())
                answer = tell(outcomes)
                await self._finish(unit, once, answer)
        return Done(answer, accepted=sum(isinstance(each, Accepted) for each in outcomes), is_repeated=False)

    async def _finish(self, unit: UnitOfWork, once: Once | None, answer: Answer) -> None:
        """Commit. On SQLite, another process may have been faster with this key."""
        try:
            if once:
                await store_answer(unit.session, once, answer)
            await unit.commit()
        except IntegrityError:
            raise InProgress from None


@contextmanager
def _told_when_another_is_at_it() -> Iterator[None]:
    """Two requests that record the same ids wait for each other; whoever cannot have them now may come again."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in WAITED_IN_VAIN:
            raise InProgress from None
        raise


async def _record(unit: UnitOfWork, offered: Sequence[Candidate | Refusal]) -> Sequence[Outcome]:
    round_ = _Round()
    for each in offered:
        round_.add(each)
    if round_.rows:
        new = await insert_new(unit.session, list(round_.rows.values()))
        for event_id in new:
            unit.notice(round_.rows[event_id])
        old = [row for event_id, row in round_.rows.items() if event_id not in new]
        for event_id in await conflicting(unit.session, old) if old else ():
            round_.refuse(event_id)
    return round_.outcomes


class _Round:
    """The events of one request: a row for each id, and for each event what becomes of it."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self._places: dict[str, list[tuple[int, Location]]] = {}

    def add(self, offered: Candidate | Refusal) -> None:
        self.outcomes.append(offered if isinstance(offered, Refusal) else self._place(offered))

    def _place(self, candidate: Candidate) -> Outcome:
        event_id = candidate.envelope.id
        try:
            row = row_of(candidate.envelope, candidate.placement.lane) | candidate.placement.columns()
        except OversizedMessage:
            detail = f"the message would have more than {LARGEST_BODY} bytes"
            return Refusal(Reason.OVERSIZED, (FieldError(candidate.at, detail),), event_id)
        first = self.rows.setdefault(event_id, row)
        if first is not row and not same_message(row["payload"], first["payload"]):
            return _taken(event_id, candidate.at)
        self._places.setdefault(event_id, []).append((len(self.outcomes), candidate.at))
        return Accepted(event_id)

    def refuse(self, event_id: str) -> None:
        """Refuse every event of this id."""
        for number, at in self._places[event_id]:
            self.outcomes[number] = _taken(event_id, at)


def _taken(event_id: str, at: Location) -> Refusal:
    return Refusal(Reason.CONFLICT, (FieldError((*at, "id"), TAKEN),), event_id)
