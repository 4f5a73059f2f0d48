from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from support.builders import an_envelope
from support.dead_letters import MAIL, NOTIFICATION, a_dead_message, buried, put_in_state

from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.lifecycle import State
from consumer_service.outcome import Reason


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return DeadLetterMetrics(registry)


@pytest.mark.parametrize(
    ("reason", "label"),
    [(Reason.CRASH_LOOP, "crash_loop"), ("malformed", "malformed"), ("expired", "expired"), ("made up", "other")],
)
def test_reasons_nobody_knows_share_one_label(registry, metrics, reason, label):
    metrics.count(MAIL, reason)

    labels = {"queue": MAIL, "reason": label}
    assert registry.get_sample_value("tidings_dead_letters_collected_total", labels) == 1


async def test_gauges_show_every_state_of_every_queue_and_the_age_of_what_waits(engine, registry, metrics):
    died_at = datetime.now(UTC) - timedelta(hours=1)
    letters = await buried(engine, *(a_dead_message(died_at=died_at) for _ in range(3)))
    await put_in_state(engine, State.DISCARDED, letters[0])

    await metrics.measure(engine, (MAIL, NOTIFICATION))

    def value(name, **labels):
        return registry.get_sample_value(name, labels)

    assert value("tidings_dead_letters", queue=MAIL, state="waiting") == 2
    assert value("tidings_dead_letters", queue=MAIL, state="discarded") == 1
    assert value("tidings_dead_letters", queue=NOTIFICATION, state="waiting") == 0
    assert value("tidings_dead_letters_oldest_seconds", queue=MAIL) >= 3600
    assert value("tidings_dead_letters_oldest_seconds", queue=NOTIFICATION) == 0


async def test_replays_are_told_by_what_became_of_them(engine, registry, metrics):
    envelope = an_envelope()
    under_way, gone_back = await buried(engine, a_dead_message(), a_dead_message())
    await put_in_state(engine, State.REPLAYING, under_way)
    await put_in_state(engine, State.REPLAYED, gone_back)
    await buried(engine, a_dead_message(envelope), a_dead_message(envelope, replays=1))

    await metrics.measure(engine, (MAIL,))

    outcomes = {
        outcome: registry.get_sample_value("tidings_dead_letter_replays", {"queue": MAIL, "outcome": outcome})
        for outcome in ("under_way", "gone_back", "came_back")
    }
    assert outcomes == dict.fromkeys(outcomes, 1)
