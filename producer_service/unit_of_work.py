"""One transaction: a business change and the messages that announce it are committed together, or not at all."""

from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from producer_service.delays import LONGEST_DELAY, moment_of_delivery
from producer_service.outbox import insert_row, placed_row_of
from shared.contracts import Contract, Lane
from shared.envelope import enclose


@dataclass(frozen=True, slots=True)
class Travel:
    """What a request hands on to the messages it causes."""

    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


class UnitOfWork:
    """An open transaction. The only place that commits business changes; leaving without `commit` undoes them."""

    def __init__(
        self,
        *,
        sessions: async_sessionmaker[AsyncSession],
        source: str,
        travel: Travel,
        committed: Callable[[AbstractSet[Lane]], object],
        longest_delay: timedelta = LONGEST_DELAY,
    ) -> None:
        """`source` names this service in its messages.

        `committed` is called after each commit with the lanes in which there is something new to publish, to wake
        their relays; not at all when there is none.
        """
        self.session = sessions()
        self._source = source
        self._travel = travel
        self._committed = committed
        self._longest_delay = longest_delay
        self._recorded: deque[Mapping[str, Any]] = deque()
        self._lanes: set[Lane] = set()

    async def __aenter__(self) -> Self:
        await self.session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.session.__aexit__(kind, error, traceback)

    def record(
        self,
        message: Contract,
        *,
        deliver_at: datetime | None = None,
        delay: timedelta | None = None,
        lane: Lane | None = None,
        message_id: str | None = None,
    ) -> str:
        """Announce an event or send a command with this transaction; return the id by which it can be followed.

        With `deliver_at` or `delay` it is published then, within about a second, unless it was cancelled before. It
        holds back nothing meanwhile, and once its time has come it stands where it was recorded. It stands in the lane
        of its class unless another is given. `message_id` is for who must be able to tell a message by its id before
        it is recorded; a second one of that id fails the commit.
        Raises ValueError for a moment that makes no sense.
        """
        moment = moment_of_delivery(deliver_at=deliver_at, delay=delay, longest=self._longest_delay)
        envelope = enclose(
            message,
            message_id=message_id,
            source=self._source,
            correlation_id=self._travel.correlation_id,
            causation_id=self._travel.causation_id,
            traceparent=self._travel.traceparent,
        )
        row = placed_row_of(envelope, deliver_at=moment, lane=lane)
        self._recorded.append(row)
        self.notice(row)
        return envelope.id

    def notice(self, row: Mapping[str, Any]) -> None:
        """Have the commit wake the relay for this row of the outbox, which may be written otherwise than by `record`.

        One that is delayed wakes nobody: a timer will find it.
        """
        if row["deliver_at"] is None:
            self._lanes.add(Lane(row["lane"]))

    async def commit(self) -> None:
        """Commit. If this raises for want of an answer, the change may or may not have been committed."""
        while self._recorded:
            await insert_row(self.session, self._recorded.popleft())
        await self.session.commit()
        if self._lanes:
            self._committed(frozenset(self._lanes))
            self._lanes.clear()


def units_on(
    engine: AsyncEngine,
    *,
    source: str,
    committed: Callable[[AbstractSet[Lane]], object] = lambda _lanes: None,
    longest_delay: timedelta = LONGEST_DELAY,
) -> Callable[[Travel], UnitOfWork]:
    """Return what opens a unit of work on this engine's pool."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    def unit_of_work(travel: Travel) -> UnitOfWork:
        return UnitOfWork(
            sessions=sessions, source=source, travel=travel, committed=committed, longest_delay=longest_delay
        )

    return unit_of_work
