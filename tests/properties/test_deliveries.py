"""The life of a delivery as a state machine: redeliveries, twins, replays, and workers that die or freeze anywhere."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete
from support.builders import a_message, an_envelope
from support.inboxes import statuses
from support.mortal_workers import Effects, Line, MortalWorker
from support.tasks import EFFECTS, create_effects, effects

from consumer_service.database import open_engine
from consumer_service.migrations import migrate
from consumer_service.models import InboxMessage, WorkerRow
from shared.events import UserCreated, UserEmailVerified, UserPasswordResetRequested

pytestmark = pytest.mark.slow

ANN, SOME_ID, FIRST = UUID(int=1), UUID(int=2), datetime(2026, 1, 1, tzinfo=UTC)
ANYWHERE = st.integers(0, 7)
ENDINGS = st.sampled_from(["fine", "fine", "temporary", "permanent", "unexpected", "unknown"])

ABOUT_ANN = {"user_id": ANN, "email": "ann@example.org"}
REPEATABLE = UserCreated(**ABOUT_ANN, verification_id=SOME_ID)
UNREPEATABLE = UserEmailVerified(**ABOUT_ANN)
TRANSACTIONAL = UserPasswordResetRequested(**ABOUT_ANN, reset_id=SOME_ID)

FEW = settings(
    max_examples=max(10, settings().max_examples // 50),
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
PATIENCE = 500
"""Steps in which a healthy worker must have ended whatever a few dozen steps have brought about."""


@pytest.fixture
def engine(own_loop, database_url):
    engine = open_engine(database_url)
    own_loop.run(migrate(engine))
    own_loop.run(create_effects(engine))
    yield engine
    own_loop.run(engine.dispose())


class Deliveries(RuleBasedStateMachine):
    """Three workers on one queue, one step at a time. `run` runs a coroutine to its end."""

    def __init__(self, engine, run):
        super().__init__()
        self.engine, self.run = engine, run
        self.line, self.outside = Line(), Effects()
        self.published, self.done = {}, set()
        self.replayed, self.doubts = Counter(), Counter()
        self.workers = []

    @initialize()
    def begin(self):
        self.run(self._empty())
        self.workers = [self._hire() for _ in range(3)]

    async def _empty(self):
        async with self.engine.begin() as connection:
            for table in (InboxMessage.__table__, WorkerRow.__table__, EFFECTS):
                await connection.execute(delete(table))

    def _hire(self):
        worker = MortalWorker(self.engine, self.line, self.outside)
        self.run(worker.lives())
        return worker

    def _doubt(self, worker, *, unless=False):
        """Note that what this worker holds may be done again, because nobody can know what it has done."""
        if not unless:
            self.doubts.update(held.message.message_id for held in worker.held)

    def _worker(self, where):
        return self.workers[where % len(self.workers)]

    def _held(self, where, *, ended):
        found = [
            (worker, held) for worker in self.workers for held in worker.held if (held.outcome is not None) == ended
        ]
        return found[where % len(found)] if found else (None, None)

    @rule(data=st.sampled_from([REPEATABLE, UNREPEATABLE, TRANSACTIONAL]))
    def a_message_is_published(self, data):
        message = a_message(an_envelope(data, time=FIRST))
        self.published[message.message_id] = data
        self.line.put(message)

    @precondition(lambda self: self.published)
    @rule(where=ANYWHERE, redelivered=st.booleans(), other_body=st.booleans())
    def its_twin_is_published(self, where, redelivered, other_body):
        id_, data = list(self.published.items())[where % len(self.published)]
        data = data.model_copy(update={"name": "Another"}) if other_body else data
        self.line.put(a_message(an_envelope(data, id=id_, time=FIRST)), redelivered=redelivered)

    @precondition(lambda self: self.line.ready)
    @rule(where=ANYWHERE)
    def a_worker_takes_a_delivery(self, where):
        worker = self._worker(where)
        self.run(worker.takes())
        self._doubt(worker, unless=not worker.frozen)

    @precondition(lambda self: self._held(0, ended=False)[0])
    @rule(where=ANYWHERE, ending=ENDINGS)
    def a_task_runs(self, where, ending):
        worker, held = self._held(where, ended=False)
        self.outside.ending = ending
        self.run(worker.works(held))
        self.doubts[held.message.message_id] += ending == "unknown"

    @precondition(lambda self: self._held(0, ended=True)[0])
    @rule(where=ANYWHERE)
    def an_end_is_settled_by_one_step(self, where):
        worker, held = self._held(where, ended=True)
        self.run(worker.settles(held))

    @rule(where=ANYWHERE)
    def a_worker_dies(self, where):
        self._doubt(self._worker(where))
        self.run(self._worker(where).dies())
        self.workers[where % len(self.workers)] = self._hire()

    @rule(where=ANYWHERE)
    def a_session_ends(self, where):
        self._worker(where).loses_its_session()

    @rule(where=ANYWHERE)
    def a_worker_freezes_and_its_deliveries_go_to_others(self, where):
        self._doubt(self._worker(where))
        self._worker(where).loses_its_session()
        self.run(self._worker(where).freezes())

    @rule(where=ANYWHERE)
    def a_heart_beats_again(self, where):
        self.run(self._worker(where).lives())

    @precondition(lambda self: self.line.dead)
    @rule(where=ANYWHERE)
    def a_dead_letter_is_replayed(self, where):
        message = self.line.replay(where)
        self.replayed[message.message_id] += 1

    @invariant()
    def database_effects_happen_once(self):
        assert all(count == 1 for count in self.run(effects(self.engine)).values())

    @invariant()
    def what_must_not_be_repeated_is_not(self):
        for id_, count in self.outside.happened.items():
            if self.published[id_] is UNREPEATABLE:
                assert count <= 1 + self.replayed[id_]

    @invariant()
    def what_may_be_repeated_is_repeated_only_in_doubt(self):
        for id_, count in self.outside.happened.items():
            if self.published[id_] is REPEATABLE:
                assert count <= 1 + self.doubts[id_] + self.replayed[id_]

    @invariant()
    def of_two_bodies_under_one_id_one_is_worked_on_where_a_start_is_remembered(self):
        for id_, names in self.outside.names.items():
            assert len(names) == 1 or self.published[id_] is TRANSACTIONAL

    @invariant()
    def done_stays_done(self):
        done = {id_ for id_, status in self.run(statuses(self.engine)).items() if status == "done"}
        assert self.done <= done
        self.done = done

    def teardown(self):
        """Let all die but one that is sound: it ends everything, and every message has had its effect or is dead."""
        self.outside.ending = "fine"
        for worker in self.workers:
            self.run(worker.dies())
        last = self._hire()
        for _ in range(PATIENCE):
            if not self.run(one_step(last, self.line)):
                break
        assert not self.line.ready
        assert not last.held
        self.run(self._account())

    async def _account(self):
        had_effect = set(self.outside.happened) | set(await effects(self.engine))
        dead = {message.message_id for message in self.line.dead}
        assert set(self.published) <= had_effect | dead
        for id_, status in (await statuses(self.engine)).items():
            assert status != "done" or id_ in had_effect
            assert status == "done" or id_ in dead


async def one_step(worker, line):
    """Take one step towards an empty queue; False when there is none."""
    if worker.held:
        held = worker.held[0]
        await (worker.works(held) if held.outcome is None else worker.settles(held))
    elif line.ready:
        await worker.takes()
    else:
        return False
    return True


@pytest.mark.timeout(600)  # Only a failure takes that long, to find the shortest story that ends in it.
def test_whatever_happens_on_the_way_effects_keep_their_guarantee_and_nothing_is_stuck(engine, own_loop):
    run_state_machine_as_test(lambda: Deliveries(engine, own_loop.run), settings=FEW)


def test_a_transaction_that_was_put_off_is_done_although_the_worker_it_waited_for_has_died(engine, own_loop):
    line, outside, message = Line(), Effects(), a_message(an_envelope(TRANSACTIONAL))
    doomed, other = (MortalWorker(engine, line, outside) for _ in range(2))
    line.put(message, redelivered=True)

    async def story():
        await doomed.lives()
        await other.lives()
        await doomed.takes()
        doomed.loses_its_session()
        await other.takes()
        await doomed.dies()
        for _ in range(20):
            await one_step(other, line)
        return await effects(engine)

    assert own_loop.run(story()) == {message.message_id: 1}
