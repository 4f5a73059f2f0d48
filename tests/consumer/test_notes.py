from datetime import UTC, datetime, timedelta

import pytest
from support.builders import a_message
from support.tasks import RecordingTask
from support.transports import a_delivery

from consumer_service.notes import dead_letter_notes, retry_notes
from consumer_service.outcome import DeadLetter, Reason, Retry
from shared.transport import ATTEMPT

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND_ATTEMPT = a_delivery(a_message(headers={ATTEMPT: 2}))


def test_a_retry_says_why_it_waits_which_attempt_failed_and_when_the_next_one_is():
    notes = retry_notes(SECOND_ATTEMPT, Retry(timedelta(seconds=90), "busy"), RecordingTask(), NOON)

    assert notes == {
        "tidings-attempt": 3,
        "tidings-queue": "consumer.mail",
        "tidings-task": "RecordingTask",
        "tidings-progress": "attempt 2 of 3 failed",
        "tidings-error": "busy",
        "tidings-next-try": "2026-11-21T12:01:30Z",
    }


def test_what_was_put_off_keeps_its_attempt_and_says_so():
    put_off = Retry(timedelta(seconds=5), "the database is away", spends_attempt=False)

    notes = retry_notes(SECOND_ATTEMPT, put_off, RecordingTask(), NOON)

    assert (notes["tidings-attempt"], notes["tidings-progress"]) == (2, "attempt 2 put off")


def test_a_dead_letter_says_why_where_and_on_which_attempt_it_died():
    died = DeadLetter(Reason.RETRIES_EXHAUSTED, "busy", "0123456789ab")

    notes = dead_letter_notes(SECOND_ATTEMPT, died, RecordingTask(), NOON)

    assert notes == {
        "tidings-queue": "consumer.mail",
        "tidings-task": "RecordingTask",
        "tidings-progress": "dead on attempt 2",
        "tidings-reason": "retries_exhausted",
        "tidings-error": "busy",
        "tidings-fingerprint": "0123456789ab",
        "tidings-failed-at": "2026-11-21T12:00:00Z",
    }


def test_a_dead_letter_that_nobody_could_read_names_no_task():
    notes = dead_letter_notes(SECOND_ATTEMPT, DeadLetter("malformed", "not JSON"), None, NOON)

    assert notes["tidings-task"] == "none: no task could read it"


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(hours=6)])
def test_notes_are_plain_values_that_every_broker_can_carry(delay):
    notes = retry_notes(SECOND_ATTEMPT, Retry(delay, "busy"), RecordingTask(), NOON)

    assert {type(value) for value in notes.values()} == {str, int}
