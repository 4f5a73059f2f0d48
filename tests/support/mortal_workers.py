"""Workers that go through the life of a delivery one step at a time, and may die or freeze after any of them."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from support.builders import a_new_id
from support.inboxes import is_alive, was_last_seen
from support.tasks import EFFECTS
from support.transports import a_delivery

from consumer_service.claim import DEAD_AFTER, Verdict
from consumer_service.dispatch import REPLAYS, Assignment, Dispatcher, replays
from consumer_service.execution import Execution, refused
from consumer_service.inbox import Inbox
from consumer_service.outcome import (
    DeadLetter,
    Outcome,
    OutcomeUnknown,
    PermanentFailure,
    Released,
    Retry,
    TemporaryFailure,
)
from consumer_service.retry import RetryPolicy
from consumer_service.settlement import Settlement
from consumer_service.task import Context, Guarantee, Task
from shared.events import UserCreated, UserEmailVerified, UserEvent, UserPasswordResetRequested
from shared.transport import ATTEMPT, Message

BURIED = frozenset({Verdict.CRASH_LOOP, Verdict.AMBIGUOUS})
FAILURES = {"temporary": TemporaryFailure("busy"), "permanent": PermanentFailure("gone"), "unexpected": KeyError("x")}


class Effects:
    """What the tasks did to the outside, by message id and with which names in it, and how the next run ends."""

    def __init__(self) -> None:
        self.happened: Counter[str] = Counter()
        self.names: dict[str, set[str]] = defaultdict(set)
        self.ending = "fine"

    def happen(self, id_: str, message: UserEvent) -> None:
        """Fail before the effect, have it, or have it and not know."""
        self.names[id_].add(message.name)
        if self.ending in FAILURES:
            raise FAILURES[self.ending]
        self.happened[id_] += 1
        if self.ending == "unknown":
            raise OutcomeUnknown("no answer")


class RepeatableTask(Task[UserCreated]):
    """Has an effect outside, which may be repeated."""

    queue: ClassVar[str] = "mail"
    retry: ClassVar[RetryPolicy] = RetryPolicy(limit=3)

    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    async def run(self, message: UserCreated, context: Context) -> None:
        self.effects.happen(context.envelope.id, message)


class UnrepeatableTask(Task[UserEmailVerified]):
    """Has an effect outside, which must not be repeated."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.AT_MOST_ONCE

    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    async def run(self, message: UserEmailVerified, context: Context) -> None:
        self.effects.happen(context.envelope.id, message)


class RowTask(Task[UserPasswordResetRequested]):
    """Writes a row in the inbox's transaction, and only then fails, if it does."""

    queue: ClassVar[str] = "mail"
    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    async def run(self, message: UserPasswordResetRequested, context: Context) -> None:
        await context.session.execute(insert(EFFECTS).values(message_id=context.envelope.id))
        self.effects.happen(context.envelope.id, message)


@dataclass
class Line:
    """A queue and its dead letters, as far as a worker knows them."""

    ready: deque[tuple[Message, bool]] = field(default_factory=deque)
    dead: list[Message] = field(default_factory=list)

    def put(self, message: Message, *, redelivered: bool = False) -> None:
        self.ready.append((message, redelivered))

    def replay(self, index: int) -> Message:
        """Send a dead letter back to its queue, as its first attempt and with one more replay."""
        message = self.dead.pop(index % len(self.dead))
        again = {**message.headers, ATTEMPT: 1, REPLAYS: replays(message) + 1}
        self.put(replace(message, headers=again))
        return message


@dataclass(eq=False)
class Held:
    """One delivery in a worker's hands. `outcome` is None while the task has not run; `lost`: its session died."""

    message: Message
    assignment: Assignment
    started: bool
    outcome: Outcome | None = None
    recorded: bool = False
    copied: bool = False
    lost: bool = False

    @property
    def settlement(self) -> Settlement:
        assert self.outcome is not None
        return Settlement(self.assignment.delivery, self.outcome, self.assignment, started=self.started)


class MortalWorker:
    """One worker process: an inbox under its own name, and the deliveries it holds."""

    def __init__(self, engine: AsyncEngine, line: Line, effects: Effects) -> None:
        self.name = a_new_id()
        self.held: list[Held] = []
        self.frozen = False
        self._engine = engine
        self._line = line
        self._inbox = Inbox(engine, worker=self.name)
        self._execution = Execution(self._inbox, draw=lambda: 0.5)
        self._dispatcher = Dispatcher([RepeatableTask(effects), UnrepeatableTask(effects), RowTask(effects)])

    async def lives(self) -> None:
        self.frozen = False
        await is_alive(self._engine, self.name)

    async def freezes(self) -> None:
        """Be taken for dead by everybody else, and go on afterwards."""
        self.frozen = True
        await was_last_seen(self._engine, self.name, DEAD_AFTER + timedelta(seconds=10))

    async def dies(self) -> None:
        """Drop everything; the broker gives to others what it held."""
        self.loses_its_session()
        self.held.clear()
        await self.freezes()

    def loses_its_session(self) -> None:
        for held in [each for each in self.held if not each.lost]:
            held.lost = True
            self._line.ready.appendleft((held.message, True))

    async def takes(self) -> None:
        """Take what is next in line, and start it if the inbox lets it start."""
        message, redelivered = self._line.ready.popleft()
        assignment = self._dispatcher.dispatch(a_delivery(message, redelivered=redelivered))
        assert isinstance(assignment, Assignment), assignment
        verdict = Verdict.GRANTED
        if assignment.is_started_first:
            (verdict,) = await self._inbox.start([assignment])
        if verdict is Verdict.SUSPECT and not self.held:
            (verdict,) = await self._inbox.start([assignment], alone=True)
        if verdict is Verdict.SUSPECT:
            self._line.put(message, redelivered=redelivered)
            return
        outcome = None if verdict is Verdict.GRANTED else refused(verdict)
        started = verdict in BURIED or (verdict is Verdict.GRANTED and assignment.is_started_first)
        self.held.append(Held(message, assignment, started, outcome))

    async def works(self, held: Held) -> None:
        held.outcome = await self._execution.run(held.assignment)

    async def settles(self, held: Held) -> None:
        """Go one step: record, copy where it is moved to, ack; a dead letter is copied before it is recorded."""
        if isinstance(held.outcome, DeadLetter) and not held.copied:
            self._copies(held)
        elif not held.recorded:
            held.recorded = True
            await self._inbox.finish([held.settlement.finish] if held.settlement.finish else [])
        else:
            self._acks(held)

    def _copies(self, held: Held) -> None:
        held.copied = True
        if not held.lost:
            self._line.dead.append(held.message)

    def _acks(self, held: Held) -> None:
        self.held.remove(held)
        if held.lost:
            return
        match held.outcome:
            case Retry(spends_attempt=spends):
                headers = {**held.message.headers, ATTEMPT: held.message.attempt + spends}
                self._line.put(replace(held.message, headers=headers))
            case Released():
                self._line.put(held.message, redelivered=True)
