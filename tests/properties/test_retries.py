"""When to try again: the limits that no error, no policy and no dice can break."""

import re
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consumer_service.outcome import (
    DeadLetter,
    OutcomeUnknown,
    PermanentFailure,
    Reason,
    Retry,
    TemporaryFailure,
)
from consumer_service.retry import LONGEST_WISH, STEEPEST_GROWTH, RetryPolicy
from shared.topology import RUNGS, choose_rung

pytestmark = pytest.mark.slow

WAITS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=2))
POLICIES = st.builds(
    RetryPolicy,
    limit=st.integers(1, 30),
    first=WAITS,
    growth=st.floats(1, STEEPEST_GROWTH),
    longest=WAITS,
    jitter=st.floats(0, 1, exclude_max=True),
    never=st.sampled_from([(), (LookupError,), (ArithmeticError, LookupError)]),
)
DRAWS = st.floats(0, 1, exclude_max=True)
WISHES = st.none() | st.timedeltas()
REPEATABLE = st.one_of(
    st.builds(TemporaryFailure, st.text(), retry_after=WISHES),
    st.builds(OutcomeUnknown, st.text()),
    st.builds(RuntimeError, st.text()),
)
HOPELESS = st.builds(PermanentFailure, st.text())
A_TICK = timedelta(microseconds=1)


@given(policy=POLICIES, errors=st.lists(REPEATABLE, min_size=1), draws=st.lists(DRAWS, min_size=1))
def test_a_message_that_always_fails_is_tried_as_often_as_the_limit_says_and_then_dead(policy, errors, draws):
    attempt, waited = 1, timedelta(0)
    while isinstance(
        outcome := policy.decide("T", errors[attempt % len(errors)], attempt, draws[attempt % len(draws)]), Retry
    ):
        attempt, waited = attempt + 1, waited + outcome.delay

    assert attempt == policy.limit
    assert outcome.reason is Reason.RETRIES_EXHAUSTED
    assert waited <= (policy.limit - 1) * (max(policy.longest * (1 + policy.jitter), LONGEST_WISH) + A_TICK)


@given(policy=POLICIES, hopeless=HOPELESS, attempt=st.integers(1, 100), draw=DRAWS)
def test_a_permanent_failure_ends_it_whenever_it_comes(policy, hopeless, attempt, draw):
    outcome = policy.decide("T", hopeless, attempt, draw)

    assert isinstance(outcome, DeadLetter)
    assert outcome.reason is Reason.PERMANENT_FAILURE


@given(policy=POLICIES, attempt=st.integers(1, 100))
def test_waits_never_shrink_from_one_attempt_to_the_next(policy, attempt):
    waits = [policy.delay(number) for number in range(attempt, attempt + 10)]

    assert all(earlier <= later for earlier, later in pairwise(waits))
    assert all(timedelta(0) < wait <= policy.longest + A_TICK for wait in waits)


@given(policy=POLICIES, attempt=st.integers(1, 100), draw=DRAWS)
def test_jitter_keeps_to_its_share_of_the_wait(policy, attempt, draw):
    plain, spread = policy.delay(attempt), policy.delay(attempt, draw)

    assert plain * (1 - policy.jitter) - A_TICK <= spread <= plain * (1 + policy.jitter) + A_TICK


@given(policy=POLICIES, attempt=st.integers(1, 100), wish=st.timedeltas(), draw=DRAWS)
def test_the_wish_of_the_other_side_lengthens_a_wait_up_to_a_day_and_never_shortens_one(policy, attempt, wish, draw):
    assume(attempt < policy.limit)

    plain = policy.decide("T", TemporaryFailure("busy"), attempt, draw)
    wished = policy.decide("T", TemporaryFailure("busy", retry_after=wish), attempt, draw)

    assert wished.delay == max(plain.delay, min(wish, LONGEST_WISH))


@given(policy=POLICIES, attempt=st.integers(1, 30), draw=DRAWS, place=DRAWS)
def test_whatever_a_policy_waits_there_is_a_rung_beside_it(policy, attempt, draw, place):
    delay = policy.delay(attempt, draw)

    chosen = choose_rung(delay, place)

    # One of the two rungs between which the delay lies; beyond either end, the rung at that end.
    assert chosen == 0 or RUNGS[chosen - 1].delay <= delay
    assert chosen == len(RUNGS) - 1 or delay < RUNGS[chosen + 1].delay


@given(delays=st.tuples(WAITS, WAITS), place=DRAWS)
def test_a_longer_delay_never_takes_a_shorter_rung(delays, place):
    shorter, longer = sorted(delays)

    assert choose_rung(shorter, place) <= choose_rung(longer, place)


@given(error=REPEATABLE | HOPELESS | st.builds(KeyError, st.text()), attempt=st.integers(1, 40), policy=POLICIES)
def test_every_outcome_can_stand_in_a_header_and_in_a_database(error, attempt, policy):
    outcome = policy.decide("T", error, attempt, 0.5)

    assert outcome.error.isprintable()
    assert len(outcome.error) <= 300
    assert isinstance(outcome, Retry) or re.fullmatch("[0-9a-f]{12}", outcome.fingerprint)
