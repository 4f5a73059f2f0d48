"""One transaction: a business change and the messages that announce it are committed together, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from producer_service.outbox import record
from shared.contracts import Contract
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
        committed: Callable[[], None],
    ) -> None:
        """`source` names this service in its messages; `committed` is called after each commit, to wake the relay."""
        self.session = sessions()
        self._source = source
        self._travel = travel
        self._committed = committed

    async def __aenter__(self) -> Self:
        await self.session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.session.__aexit__(kind, error, traceback)

    def record(self, message: Contract) -> str:
        """Announce an event or send a command with this transaction; return the id by which it can be followed."""
        envelope = enclose(
            message,
            source=self._source,
            correlation_id=self._travel.correlation_id,
            causation_id=self._travel.causation_id,
            traceparent=self._travel.traceparent,
        )
        record(self.session, envelope)
        return envelope.id

    async def commit(self) -> None:
        """Commit. If this raises for want of an answer, the change may or may not have been committed."""
        await self.session.commit()
        self._committed()
