"""Deliveries, twins, failures, refused moves and dying sessions in any order: every message has exactly one end."""

import asyncio
from collections import Counter, defaultdict
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from support.builders import a_message, a_queue, a_topology
from support.inboxes import statuses
from support.tasks import EFFECTS, QUICK, RecordingTask, effects
from support.transports import WatchedTransport
from support.waiting import eventually

from consumer_service.outcome import PermanentFailure, TemporaryFailure
from consumer_service.quarantine import Quarantine
from consumer_service.task import Guarantee

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"
FAILURES = {
    "fine": [],
    "flaky": [TemporaryFailure("busy")] * (QUICK.limit - 1),
    "exhausting": [TemporaryFailure("busy")] * 1000,
    "hopeless": [PermanentFailure("no mailbox")] * 1000,
    "erratic": [KeyError("name")] * 1000,
}

SCRIPTS = st.lists(st.sampled_from(list(FAILURES)), min_size=1, max_size=5)
STEPS = st.lists(
    st.sampled_from(["deliver", "deliver", "redeliver", "session ends", "move refused", "breathe", "work"]), max_size=20
)
SOME = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class ScriptedTask(RecordingTask):
    """Fails with each message as its script says, and counts the times it did not."""

    def __init__(self, failures):
        super().__init__()
        self.failures = {id_: iter(script) for id_, script in failures.items()}
        self.successes = Counter()

    async def run(self, message, context):
        await super().run(message, context)
        await asyncio.sleep(0)
        error = next(self.failures[context.envelope.id], None)
        if error is not None:
            raise error
        self.successes[context.envelope.id] += 1


class ScriptedAtMostOnceTask(ScriptedTask):
    guarantee: ClassVar[Guarantee] = Guarantee.AT_MOST_ONCE


class ScriptedTransactionalTask(ScriptedTask):
    """Has succeeded when its row is committed: it may be run more than once for that, beside one that fails."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run(self, message, context):
        await super().run(message, context)
        await context.session.execute(insert(EFFECTS).values(message_id=context.envelope.id))


async def play(steps, messages, transport):
    """Deliver every message at least once; the steps decide when, how often, and what happens in between."""
    turns = defaultdict(int)
    for step in [*steps, *["deliver"] * len(messages)]:
        match step:
            case "deliver" | "redeliver":
                message = messages[turns["message"] % len(messages)]
                turns["message"] += 1
                await transport.send(message) if step == "deliver" else transport.again(MAIL, message)
            case "session ends":
                transport.end_sessions()
            case "move refused":
                transport.moves_to_refuse += 1
            case "breathe":
                await asyncio.sleep(0)
            case "work":
                await asyncio.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("task_class", [ScriptedTask, ScriptedTransactionalTask, ScriptedAtMostOnceTask])
@SOME
@given(scripts=SCRIPTS, steps=STEPS)
async def test_every_message_ends_as_one_effect_or_as_dead_letters(engine, consuming, task_class, scripts, steps):
    transport, quarantine, messages = WatchedTransport(), Quarantine(), [a_message() for _ in scripts]
    await transport.apply(a_topology(a_queue(MAIL)))
    script_of = {message.message_id: script for message, script in zip(messages, scripts, strict=True)}
    task = task_class({id_: FAILURES[script] for id_, script in script_of.items()})

    async with consuming(engine, transport)(task, quarantine=quarantine, concurrency=2) as running:
        await play(steps, messages, transport)
        await eventually(lambda: running.is_idle and is_settled(task, transport, script_of), within=20)

    ends = {id_: status for id_, status in (await statuses(engine)).items() if id_ in script_of}
    dead = Counter(message.message_id for message in transport.waiting(DEAD))
    happened = await effects(engine) if task_class is ScriptedTransactionalTask else task.successes
    for id_, script in script_of.items():
        is_dead = script in {"exhausting", "hopeless", "erratic"}
        assert happened[id_] == (not is_dead)
        assert bool(dead[id_]) == is_dead
        assert ends.get(id_) in ({"dead", "waiting", None} if is_dead else {"done"})
        if script == "erratic" and task_class is ScriptedAtMostOnceTask:
            assert task.runs[id_] == 1
    async with asyncio.timeout(1), quarantine.alone():
        assert running.sample("tidings_deliveries_in_flight") == 0


def is_settled(task, transport, script_of):
    dead = {message.message_id for message in transport.waiting(DEAD)}
    return all(task.successes[id_] or id_ in dead for id_ in script_of)
