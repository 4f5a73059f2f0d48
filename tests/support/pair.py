"""What a fault test sees: the surroundings of the services, the load, the ledger, and the running services."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID, uuid4

import httpx2
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from support.administrator import Administrator
from support.bookkeeping import LATE, NEVER, PROMPT
from support.books import Books, users_in
from support.builders import a_user_created
from support.clients import asking
from support.faultproxy import FaultProxy
from support.ledger import Ledger
from support.peeking import depths
from support.rabbit import Rabbit
from support.smtp import SmtpCatcher
from support.tasks import effects
from support.waiting import eventually
from yarl import URL

from consumer_service.worker import Worker
from producer_service.models import OutboxRow, User
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.topology import RUNGS

MAIL, BOOKKEEPING = "consumer.mail", "consumer.bookkeeping"
MIXTURE = (PROMPT, PROMPT, LATE, PROMPT, PROMPT, NEVER)


@dataclass
class Scene:
    """A broker, two databases and a mail server, and the ids of everything that the producer has accepted."""

    rabbit: Rabbit
    admin: Administrator
    publishing: FaultProxy
    """Before the broker, for the producer."""
    consuming: FaultProxy
    """Before the broker, for the worker: what it consumes and what it moves."""
    smtp: SmtpCatcher
    outbox: AsyncEngine
    """The producer's database."""
    inbox: AsyncEngine
    """The consumer's database."""
    books: Books
    """What the subscribers have done."""
    producer_env: dict[str, str]
    """What a producer needs to take part in this scene."""
    consumer_env: dict[str, str]
    """What a worker needs to take part in this scene."""
    collector_env: dict[str, str]
    """What a collector of dead letters needs to take part in this scene."""
    users: dict[str, str] = field(default_factory=dict)
    """The address in every accepted event, by its id."""
    may_repeat: set[str] = field(default_factory=set)
    """Events whose mail may come twice, because a worker died in a window that the documentation names."""
    numbers: "count[int]" = field(default_factory=count)

    async def accept(self, events: int = 1, *, names: Sequence[str] = MIXTURE, user: UUID | None = None) -> list[str]:
        """Commit so many events, each about a user of its own or all about this one; return their ids."""
        accepted = []
        for number in [next(self.numbers) for _ in range(events)]:
            address = f"user{number}@example.org"
            event = a_user_created(user_id=user or uuid4(), email=address, name=names[number % len(names)])
            async with self._unit_of_work() as unit:
                event_id = unit.record(event)
                await unit.commit()
            self.users[event_id] = address
            accepted.append(event_id)
        return accepted

    def _unit_of_work(self) -> UnitOfWork:
        sessions = async_sessionmaker(self.outbox, expire_on_commit=False)
        return UnitOfWork(sessions=sessions, source="/tests", travel=Travel(), committed=lambda _lanes: None)

    async def rows(self) -> dict[str, OutboxRow]:
        """Return every outbox row, by its id."""
        async with async_sessionmaker(self.outbox)() as session:
            return {row.id: row for row in await session.scalars(select(OutboxRow).order_by(OutboxRow.position))}

    async def all_published(self) -> bool:
        """Whether the outbox has nothing pending or parked."""
        return await self.all_rows("published")

    async def all_rows(self, status: str) -> bool:
        """Whether every outbox row has this status."""
        return {row.status for row in (await self.rows()).values()} == {status}

    async def is_claimed(self, event: str) -> bool:
        """Whether a relay holds this row."""
        free = select(OutboxRow.id).where(OutboxRow.id == event).with_for_update(skip_locked=True)
        async with self.outbox.connect() as connection:
            return (await connection.execute(free)).one_or_none() is None

    async def booked(self, events: Sequence[str]) -> bool:
        """Whether each of these events had its effect in the database."""
        return (await effects(self.inbox)).keys() >= set(events)

    def mailed(self, events: Sequence[str]) -> bool:
        """Whether the mail for each of these events was taken."""
        return {str(mail["to"]) for mail in self.smtp.mails} >= {self.users[event] for event in events}

    async def users_registered(self) -> int:
        """Return how many users the producer knows."""
        async with self.outbox.connect() as connection:
            return (await connection.execute(select(func.count()).select_from(User))).scalar_one()

    async def ledger(self) -> Ledger:
        """Read every set of the ledger where it is true."""
        rows = await self.rows()
        told = list(users_in({event: row.payload for event, row in rows.items()}))
        addresses = {address: event for event, address, _ in told} | {self.users[event]: event for event in self.users}
        refused = {event for event, _, name in told if name == NEVER}
        return Ledger(
            accepted=self.users.keys(),
            outbox={event: row.status for event, row in rows.items()},
            accounts=await self.books.accounts(addresses, may_repeat=self.may_repeat, refused=refused),
        )

    async def dead(self, queue: str) -> dict[str, str]:
        """Return the reason of each of a queue's dead letters, by message id."""
        return await self.books.dead(queue)

    async def balances(self, *, within: float = 60.0) -> Ledger:
        """Wait until the pair has come to rest and its ledger balances; return that."""

        async def balanced() -> Ledger:
            await asyncio.sleep(0.2)
            pending = [id_ for id_, row in (await self.rows()).items() if row.status == "pending"]
            assert not pending, f"the outbox still holds {len(pending)}"
            standing = await depths(self.admin.url, [*self.books.queues, *(rung.name for rung in RUNGS), *self.graves])
            assert not any(standing.values()), f"queues still hold {standing}"
            assert not self.held, f"the worker still holds {self.held:g}"
            ledger = await self.ledger()
            assert not ledger.complaints(), "\n".join(ledger.complaints())
            return ledger

        ledger: Ledger = await eventually(balanced, within=within)
        return ledger

    @property
    def graves(self) -> list[str]:
        """The queues of dead letters that a collector empties."""
        return [f"{queue}.dead" for queue in self.books.queues] if self.books.are_all_kept else []

    @property
    def services(self) -> list[str]:
        """Those with a user of their own on the broker."""
        return ["producer", "consumer", *(["collector"] if self.books.are_all_kept else [])]

    @property
    def held(self) -> float:
        """How many deliveries are known to be held by a worker; nothing is known of one in another process."""
        return 0

    def retarget(self, rabbit: Rabbit | None = None) -> None:
        """Point the proxies at where the broker is, or at another node of it; a container may have moved its port."""
        url = URL((rabbit or self.rabbit).url())
        for proxy in (self.publishing, self.consuming):
            proxy.target = (str(url.host), url.port or 5672)
        self.admin.url = self.rabbit.url(self.admin.vhost)


@dataclass(kw_only=True)
class Pair(Scene):
    """A scene in which both services run, in this process, composed as in production."""

    api: httpx2.AsyncClient
    worker: Worker

    async def register(self) -> httpx2.Response:
        """Send a request as a client would."""
        number = next(self.numbers)
        body = {"email": f"user{number}@example.org", "password": "correct horse battery", "name": PROMPT}
        answer = await self.api.post("/v1/users", json=body)
        if answer.status_code == httpx2.codes.ACCEPTED:
            self.users[answer.json()["event_id"]] = body["email"]
        return answer

    @property
    def held(self) -> float:
        """How many deliveries the worker has not settled."""
        return sum(self.sample("tidings_deliveries_in_flight", queue=queue) for queue in self.books.queues)

    def sample(self, name: str, **labels: str) -> float:
        """Return one of the worker's metrics."""
        return self.worker.registry.get_sample_value(name, labels) or 0.0

    async def relay_says(self) -> str:
        """Return what the producer's readiness tells about its relay."""
        checks = (await self.api.get("/readyz")).json()["checks"]
        return str(checks["relay"]["detail"])

    async def worker_says(self, queue: str) -> str:
        """Return what the worker's readiness tells about one of its queues."""
        async with asking(self.worker.health()) as client:
            return str((await client.get("/readyz")).json()["checks"][queue]["detail"])

    async def relay_waits(self) -> bool:
        """Whether the relay says that something keeps it from publishing."""
        return (await self.relay_says()).startswith("waits")

    async def is_ready(self) -> "Pair":
        """Wait until the broker sees the worker consuming."""
        await eventually(self.worker.is_consuming, within=40.0)
        return self
