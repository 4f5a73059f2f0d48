"""What a task is: a class that says which message it takes, how it may fail, and what it does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from consumer_service.retry import RetryPolicy
from shared.contracts import Contract, Lane
from shared.envelope import Envelope

C = TypeVar("C", bound=Contract)


class Guarantee(StrEnum):
    """What a task is promised when a worker dies in the middle. Duplicates happen in the named windows only."""

    TRANSACTIONAL = "transactional"
    """The task's own rows and the inbox row commit together: once, always. No effect outside the database."""
    AT_LEAST_ONCE = "at_least_once"
    """The effect happens; again, with the same idempotency key, if the worker dies after it and before the commit."""
    AT_MOST_ONCE = "at_most_once"
    """The effect is never repeated; if the worker dies during it, the delivery is dead-lettered as `ambiguous`."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a task may know about the delivery it works on."""

    envelope: Envelope[Contract]
    task: str
    attempt: int
    database: AsyncSession | None = None

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this task at this message, and for no other."""
        return f"{self.envelope.id}/{self.task}"

    @property
    def session(self) -> AsyncSession:
        """The transaction that also holds the inbox row. Only a transactional task has one; never commit it."""
        if self.database is None:
            raise RuntimeError(f"{self.task} is not transactional, so it has no session")
        return self.database


class Task(ABC, Generic[C]):
    """One thing to do for one kind of message.

    The generic parameter is the message it takes. Effects come in through the constructor. `run` returns when the
    work is done; TemporaryFailure is tried again by `retry`, PermanentFailure is dead-lettered at once, any other
    exception counts as temporary. `run` is cancelled after `timeout` and may be called again for the same message.
    """

    queue: ClassVar[str]
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE
    lanes: ClassVar[tuple[Lane, ...]] = (Lane.NORMAL,)
    """Where its family has queues of their own; what is sent in another lane comes by the normal one."""

    takes: ClassVar[type[Contract]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Read the message type from `Task[...]`, so that it is written once."""
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for parameter in get_args(base):
                if isinstance(parameter, type) and issubclass(parameter, Contract):
                    cls.takes = parameter

    @property
    def name(self) -> str:
        """The task's name in the inbox, logs, metrics and dead letters. Renaming a class forgets what it has done."""
        return type(self).__name__

    @abstractmethod
    async def run(self, message: C, context: Context) -> None:
        """Do the work for one message."""


class BatchTask(Task[C]):
    """One thing to do for many messages of one kind at once; a message that comes alone is a batch of one.

    What has arrived goes together, up to `most`; nothing lingers for more. `timeout` is for the whole batch. If it
    fails, each message is tried alone at once, so that only the guilty one spends an attempt: a transactional batch
    has left no trace by then, and an effect is repeated with the same idempotency keys. `at_most_once` is refused,
    because nobody could say for which messages a failed batch was done.
    """

    most: ClassVar[int] = 100

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a guarantee that a batch cannot keep."""
        super().__init_subclass__(**kwargs)
        if cls.guarantee is Guarantee.AT_MOST_ONCE:
            raise TypeError(f"{cls.__name__}: a batch that fails is tried again, so it cannot be at_most_once")

    @abstractmethod
    async def run_batch(self, messages: Sequence[C], contexts: Sequence[Context]) -> None:
        """Do the work for all of these; the contexts are in their order, and share one session if there is one."""

    async def run(self, message: C, context: Context) -> None:
        """Do the work for one message."""
        await self.run_batch([message], [context])
