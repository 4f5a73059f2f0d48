"""What is written on a delivery that is moved: short headers that a person can read in the management UI."""

from datetime import UTC, datetime

from consumer_service.dispatch import AnyTask
from consumer_service.outcome import DeadLetter, Retry
from shared.transport import ATTEMPT, Delivery

REASON, ERROR, TASK, QUEUE = "tidings-reason", "tidings-error", "tidings-task", "tidings-queue"
PROGRESS, NEXT_TRY, FAILED_AT, FINGERPRINT = (
    "tidings-progress",
    "tidings-next-try",
    "tidings-failed-at",
    "tidings-fingerprint",
)


def retry_notes(delivery: Delivery, outcome: Retry, task: AnyTask, now: datetime) -> dict[str, object]:
    """Say why this delivery waits, which attempt failed, of how many, and about when the next one will be."""
    attempt, limit = delivery.message.attempt, task.retry.limit
    failed = f"attempt {attempt} of {limit} failed" if outcome.spends_attempt else f"attempt {attempt} put off"
    return {
        ATTEMPT: attempt + 1 if outcome.spends_attempt else attempt,
        QUEUE: delivery.queue,
        TASK: task.name,
        PROGRESS: failed,
        ERROR: outcome.error,
        NEXT_TRY: _moment(now + outcome.delay),
    }


def dead_letter_notes(
    delivery: Delivery, outcome: DeadLetter, task: AnyTask | None, now: datetime
) -> dict[str, object]:
    """Say why this delivery is dead, where it died, and on which attempt."""
    return {
        QUEUE: delivery.queue,
        TASK: task.name if task else "none: no task could read it",
        PROGRESS: f"dead on attempt {delivery.message.attempt}",
        REASON: str(outcome.reason),
        ERROR: outcome.error,
        FINGERPRINT: outcome.fingerprint,
        FAILED_AT: _moment(now),
    }


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
