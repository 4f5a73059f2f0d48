"""The outbox under concurrent writers and relays that fail, die and freeze: no loss, no ghost, every order kept."""

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, cycle
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import a_user_created, an_envelope
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.claims import Claims
from producer_service.database import Deadlines, open_engine
from producer_service.metrics import Metrics
from producer_service.models import Base, OutboxRow
from producer_service.outbox import Outbox, record
from producer_service.relay import Pace, Relay
from shared.errors import BrokerUnavailable
from shared.transport import Fate, Receipt

pytestmark = pytest.mark.slow

AGGREGATES = [UUID(int=number) for number in range(1, 5)]
FROZEN_SECONDS = 0.3
"""Longer than the server lets a transaction of these relays idle."""

TRANSACTIONS = st.tuples(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=3), st.booleans())
WRITERS = st.lists(st.lists(TRANSACTIONS, min_size=1, max_size=6), min_size=1, max_size=4)
ANSWERS = st.lists(
    st.sampled_from(["fine", "fine", "fine", "refused", "arrived unknown", "lost unknown", "away", "dies", "freezes"]),
    max_size=8,
)
SOME = settings(
    max_examples=max(6, settings().max_examples // 100), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def engine(database_url):
    engine = open_engine(database_url, deadlines=Deadlines(idle_in_transaction=FROZEN_SECONDS / 2))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@dataclass
class Ledger:
    """What was committed, per aggregate and in order, and what reached the broker, in order."""

    committed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    undone: set[str] = field(default_factory=set)
    arrived: list[str] = field(default_factory=list)

    def balances(self):
        """Whether what arrived is what was committed, first arrivals of each aggregate in the order of its commits."""
        firsts = list(dict.fromkeys(self.arrived))
        assert set(firsts) == set(chain.from_iterable(self.committed.values()))
        for ids in self.committed.values():
            assert [id_ for id_ in firsts if id_ in set(ids)] == ids
        return not self.undone & set(self.arrived)


class RelayDied(BaseException):
    """The process ended here. No handler of an ordinary error may see it."""


class AwkwardBroker:
    """Answers as scripted, one script for all relays, and is well-behaved once the script has ended."""

    blocked = False

    def __init__(self, ledger, answers):
        self._ledger, self._answers = ledger, iter(answers)

    async def publish(self, messages):
        answer = next(self._answers, "fine")
        await asyncio.sleep(FROZEN_SECONDS if answer == "freezes" else 0)
        if answer == "away":
            raise BrokerUnavailable("nobody answers")
        fates = cycle([{"refused": Fate.REFUSED}.get(answer, Fate.UNKNOWN), Fate.CONFIRMED])
        if answer in {"fine", "dies", "freezes"}:
            fates = cycle([Fate.CONFIRMED])
        receipts = [self._answer(each.message.message_id, fate, answer) for each, fate in zip(messages, fates)]  # noqa: B905
        if answer == "dies":
            raise RelayDied
        return receipts

    def _answer(self, id_, fate, answer):
        if fate is Fate.CONFIRMED or answer == "arrived unknown":
            self._ledger.arrived.append(id_)
        return Receipt(fate, "as scripted")


async def write(engine, ledger, locks, transactions):
    """Commit or undo each transaction, holding the aggregates it speaks of as a business row's lock would."""
    for aggregates, commits in transactions:
        envelopes = [an_envelope(a_user_created(user_id=aggregate)) for aggregate in aggregates]
        for aggregate in sorted(set(aggregates)):
            await locks[aggregate].acquire()
        try:
            await _transact(engine, envelopes, commits=commits)
            for envelope in envelopes:
                ledger.committed[envelope.subject].append(envelope.id) if commits else ledger.undone.add(envelope.id)
        finally:
            for aggregate in set(aggregates):
                locks[aggregate].release()


async def _transact(engine, envelopes, *, commits):
    async with AsyncSession(engine) as session:
        for envelope in envelopes:
            record(session, envelope)
        await session.flush()
        await asyncio.sleep(0)
        await (session.commit() if commits else session.rollback())


def a_relay(engine, broker, batch_size):
    hasty = Backoff(first=0.01, most=0.02)
    return Relay(
        outbox=Outbox(engine),
        claims=Claims(engine),
        publisher=broker,
        metrics=Metrics(CollectorRegistry()),
        wake=asyncio.Event(),
        retention=timedelta(days=7),
        pace=Pace(batch_size=batch_size, poll=hasty, trouble=hasty),
    )


async def relay_for_ever(engine, broker, batch_size, stop):
    """Run relays, one after the other; each death is followed by a successor."""
    while not stop.is_set():
        with suppress(RelayDied):
            await a_relay(engine, broker, batch_size).run(stop)


async def is_drained(engine):
    async with engine.connect() as connection:
        return not await connection.scalar(select(func.count()).where(OutboxRow.status != "published"))


@SOME
@given(writers=WRITERS, answers=ANSWERS, batches=st.lists(st.integers(1, 9), min_size=1, max_size=3))
async def test_what_was_committed_arrives_in_the_order_of_its_aggregate_and_nothing_else_does(
    engine, writers, answers, batches
):
    ledger, stop, locks = Ledger(), asyncio.Event(), defaultdict(asyncio.Lock)
    broker = AwkwardBroker(ledger, answers)
    sole = engine.dialect.name == "sqlite"
    async with engine.begin() as connection:
        await connection.execute(delete(OutboxRow))

    async with asyncio.TaskGroup() as relays:
        for batch_size in batches[:1] if sole else batches:
            relays.create_task(relay_for_ever(engine, broker, batch_size, stop))
        await asyncio.gather(*(write(engine, ledger, locks, transactions) for transactions in writers))
        await eventually(lambda: is_drained(engine), within=60)
        stop.set()

    assert ledger.balances()
    if not {"arrived unknown", "dies", "freezes"} & set(answers):
        assert set(Counter(ledger.arrived).values()) <= {1}
