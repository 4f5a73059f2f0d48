import pytest
from support.inboxes import an_assignment
from support.transports import RecordingSubscription, a_delivery

from consumer_service.claim import Status
from consumer_service.outcome import DeadLetter, Done, Duplicate, Released, Retry
from consumer_service.retry import DEFER
from consumer_service.settlement import Settlement, by_subscription

OUTCOMES = [
    (Done(), Status.DONE, None),
    (Duplicate(), Status.DONE, None),
    (Released(), Status.WAITING, None),
    (Retry(DEFER, "busy"), Status.WAITING, "busy"),
    (DeadLetter("permanent_failure", "no mailbox"), Status.DEAD, "no mailbox"),
]


def settlement(outcome, *, started):
    assignment = an_assignment()
    return Settlement(assignment.delivery, outcome, assignment, started=started)


@pytest.mark.parametrize(("outcome", "status", "error"), OUTCOMES)
def test_what_was_started_gets_an_end_in_the_inbox(outcome, status, error):
    ended = settlement(outcome, started=True)

    assert (ended.finish.status, ended.finish.error) == (status, error)
    assert ended.finish.key == ended.assignment.key


@pytest.mark.parametrize("outcome", [outcome for outcome, _, _ in OUTCOMES])
def test_what_was_not_started_must_not_overwrite_the_row_of_another_delivery(outcome):
    assert settlement(outcome, started=False).finish is None


def test_what_nobody_could_read_has_neither_task_nor_row():
    unread = Settlement(a_delivery(), DeadLetter("malformed", "not JSON"))

    assert (unread.task, unread.finish) == (None, None)


def test_deliveries_go_back_to_the_session_that_brought_them():
    one, another = RecordingSubscription(), RecordingSubscription()
    deliveries = [a_delivery(subscription=session) for session in (one, another, one)]

    grouped = by_subscription(Settlement(delivery, Done()) for delivery in deliveries)

    assert grouped == [(one, [deliveries[0], deliveries[2]]), (another, [deliveries[1]])]
