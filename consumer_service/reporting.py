"""One log line and one count per settled delivery, under the same names."""

from typing import Any

import structlog

from consumer_service.dispatch import Assignment
from consumer_service.metrics import ConsumerMetrics
from consumer_service.outcome import DeadLetter, Done, Duplicate, Outcome, Released, Retry
from shared.transport import Delivery

log: Any = structlog.get_logger()

UNREAD = "unread"
"""Stands for the type of a delivery that could not be read, or was given back before it was."""


def report(
    metrics: ConsumerMetrics, queue: str, delivery: Delivery, outcome: Outcome, assignment: Assignment | None
) -> None:
    """Say what became of a delivery: who it was, which attempt, and why."""
    wire_type = assignment.envelope.type if assignment else UNREAD
    ended = _name(outcome)
    metrics.delivery(queue, wire_type, ended).inc()
    line: dict[str, object] = {"queue": queue, "type": wire_type, "attempt": delivery.message.attempt}
    line["message_id"] = assignment.envelope.id if assignment else delivery.message.message_id
    if assignment is not None:
        line |= {"task": assignment.task.name, "correlation_id": assignment.envelope.correlation_id}
    if isinstance(outcome, Retry):
        line |= {"delay_seconds": round(outcome.delay.total_seconds(), 1), "error": outcome.error}
    if isinstance(outcome, DeadLetter):
        metrics.dead_letters.labels(queue, str(outcome.reason)).inc()
        line |= {"reason": str(outcome.reason), "error": outcome.error, "fingerprint": outcome.fingerprint}
    (log.warning if isinstance(outcome, DeadLetter) else log.info)(f"delivery.{ended}", **line)


def _name(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "acked"
        case Duplicate():
            return "duplicate"
        case Released():
            return "released"
        case Retry():
            return "retried"
        case DeadLetter():
            return "dead_lettered"
