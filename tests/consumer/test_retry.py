from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer_service.outcome import DeadLetter, OutcomeUnknown, PermanentFailure, Reason, Retry, TemporaryFailure
from consumer_service.retry import LONGEST_WISH, RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    limit=st.integers(1, 20),
    first=st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
    growth=st.floats(1, 100),
    longest=st.timedeltas(timedelta(milliseconds=1), timedelta(days=7)),
    jitter=st.floats(0, 1, exclude_max=True),
)
DRAWS = st.floats(0, 1, exclude_max=True)


def decide(error, attempt=1, policy=RetryPolicy(), draw=0.5):  # noqa: B008 - frozen
    return policy.decide("SendMail", error, attempt, draw)


def test_the_default_waits_are_those_it_documents():
    waits = [RetryPolicy().delay(attempt).total_seconds() for attempt in range(1, 9)]

    assert waits == [5, 25, 125, 625, 3125, 15625, 21600, 21600]


@given(policy=POLICIES, attempt=st.integers(1, 1_000_000), draw=DRAWS)
def test_no_wait_strays_further_from_the_longest_than_its_jitter(policy, attempt, draw):
    wait = policy.delay(attempt, draw)

    assert timedelta(0) <= wait <= policy.longest * (1 + policy.jitter) + timedelta(microseconds=1)


def test_jitter_spreads_a_wait_up_and_down():
    policy = RetryPolicy(first=timedelta(seconds=10), jitter=0.2)

    assert [policy.delay(1, draw).total_seconds() for draw in (0.0, 0.5, 0.999999)] == pytest.approx([8, 10, 12], 1e-4)


@pytest.mark.parametrize("error", [TemporaryFailure("busy"), OutcomeUnknown("no answer"), KeyError("name")])
def test_whatever_may_help_is_tried_again(error):
    assert isinstance(decide(error), Retry)


def test_a_permanent_failure_is_dead_at_once():
    outcome = decide(PermanentFailure("no such mailbox"))

    assert outcome.reason is Reason.PERMANENT_FAILURE
    assert outcome.error == "PermanentFailure: no such mailbox"


def test_what_the_policy_calls_permanent_is_dead_at_once():
    outcome = decide(KeyError("name"), policy=RetryPolicy(never=(LookupError,)))

    assert outcome.reason is Reason.PERMANENT_FAILURE


@pytest.mark.parametrize(("attempt", "kind"), [(2, Retry), (3, DeadLetter), (4, DeadLetter)])
def test_the_last_attempt_becomes_a_dead_letter(attempt, kind):
    outcome = decide(TemporaryFailure("busy"), attempt, RetryPolicy(limit=3))

    assert isinstance(outcome, kind)
    assert getattr(outcome, "reason", Reason.RETRIES_EXHAUSTED) is Reason.RETRIES_EXHAUSTED


def test_the_other_side_may_wish_for_a_longer_wait_but_not_for_a_shorter_one():
    slow, fast = (TemporaryFailure("busy", retry_after=timedelta(seconds=seconds)) for seconds in (600, 1))

    assert (decide(slow).delay.total_seconds(), decide(fast).delay.total_seconds()) == (600, 5)


@pytest.mark.parametrize("wish", [timedelta.max, timedelta.min])
def test_no_wish_is_absurd_enough_to_do_harm(wish):
    delay = decide(TemporaryFailure("busy", retry_after=wish)).delay

    assert timedelta(seconds=5) <= delay <= LONGEST_WISH


@pytest.mark.parametrize(
    "nonsense",
    [
        {"limit": 0},
        {"first": timedelta(0)},
        {"longest": timedelta(0)},
        {"growth": 0.5},
        {"growth": 1e10},
        {"jitter": 1.0},
        {"jitter": -0.1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_when_it_is_written(nonsense):
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        RetryPolicy(**nonsense)
