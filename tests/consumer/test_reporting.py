import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from support.inboxes import an_assignment
from support.transports import a_delivery

from consumer_service.metrics import ConsumerMetrics
from consumer_service.outcome import DeadLetter, Done, Duplicate, Released, Retry
from consumer_service.reporting import report
from consumer_service.retry import DEFER

QUEUE = "consumer.mail"


def reported(outcome, assignment=None):
    registry = CollectorRegistry()
    delivery = assignment.delivery if assignment else a_delivery()
    with capture_logs() as lines:
        report(ConsumerMetrics(registry), QUEUE, delivery, outcome, assignment)
    return lines, registry


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Done(), "acked"),
        (Duplicate(), "duplicate"),
        (Released(), "released"),
        (Retry(DEFER, "busy"), "retried"),
        (DeadLetter("permanent_failure", "no mailbox"), "dead_lettered"),
    ],
)
def test_every_outcome_is_one_line_and_one_count_under_the_same_name(outcome, name):
    (line,), registry = reported(outcome, an_assignment())

    labels = {"queue": QUEUE, "type": "user.created", "outcome": name}
    assert line["event"] == f"delivery.{name}"
    assert registry.get_sample_value("tidings_deliveries_total", labels) == 1


def test_a_line_says_which_message_which_task_and_which_attempt():
    assignment = an_assignment()

    (line,), _ = reported(Done(), assignment)

    assert {name: line[name] for name in ("message_id", "correlation_id", "task", "attempt", "type", "queue")} == {
        "message_id": assignment.envelope.id,
        "correlation_id": "c-1",
        "task": "RecordingTask",
        "attempt": 1,
        "type": "user.created",
        "queue": QUEUE,
    }


def test_a_dead_letter_is_a_warning_and_is_counted_by_reason():
    (line,), registry = reported(DeadLetter("crash_loop", "workers died", "0123"), an_assignment())

    assert (line["log_level"], line["reason"], line["error"], line["fingerprint"]) == (
        "warning",
        "crash_loop",
        "workers died",
        "0123",
    )
    labels = {"queue": QUEUE, "reason": "crash_loop"}
    assert registry.get_sample_value("tidings_dead_lettered_total", labels) == 1


def test_a_retry_says_how_long_it_waits_and_why():
    (line,), _ = reported(Retry(DEFER, "busy"), an_assignment())

    assert (line["delay_seconds"], line["error"]) == (5.0, "busy")


def test_what_nobody_read_has_no_type_of_its_own_because_labels_are_bounded():
    (line,), registry = reported(DeadLetter("malformed", "not JSON"))

    labels = {"queue": QUEUE, "type": "unread", "outcome": "dead_lettered"}
    assert registry.get_sample_value("tidings_deliveries_total", labels) == 1
    assert line["message_id"]
