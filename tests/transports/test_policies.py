import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.live_brokers import a_policy

from shared.backends.rabbitmq.policies import (
    a_policy_reaches,
    is_over,
    kinds_of_queue,
    laid_over,
    result,
    smaller,
    unreadable,
)

QUORUM = kinds_of_queue("quorum")
LIMITS = st.integers(-1, 10_000)


def laid(*policies):
    return {key: tuple(each) for key, each in laid_over(policies, "consumer.mail", QUORUM).items()}


@pytest.mark.parametrize("applies_to", ["all", "queues", "quorum_queues"])
def test_a_policy_is_over_the_queues_it_names(applies_to):
    assert is_over(a_policy({}, applies_to=applies_to), "consumer.mail", QUORUM)


@pytest.mark.parametrize("applies_to", ["exchanges", "classic_queues", "streams"])
def test_a_policy_is_not_over_what_it_is_not_meant_for(applies_to):
    assert not is_over(a_policy({}, applies_to=applies_to), "consumer.mail", QUORUM)


def test_a_pattern_that_is_not_anchored_matches_inside_a_name():
    assert is_over(a_policy({}, pattern="mail"), "consumer.mail.dead", QUORUM)


def test_a_pattern_of_the_other_dialect_is_over_nothing_and_is_said_to_be_unreadable():
    policy = a_policy({}, pattern=r"(?|a|b)")

    assert unreadable(policy)
    assert not is_over(policy, "consumer.mail", QUORUM)


def test_only_the_policy_of_the_highest_priority_counts():
    low, high = a_policy({"expires": 1}, name="low"), a_policy({"overflow": "drop-head"}, name="high", priority=1)

    assert laid(low, high) == laid(high, low) == {"overflow": ("drop-head", "high")}


def test_an_operator_policy_is_merged_and_has_the_last_word():
    users = a_policy({"overflow": "drop-head", "expires": 5}, name="users")
    operators = a_policy({"overflow": "reject-publish"}, name="operators", operator=True)

    assert laid(users, operators) == {"overflow": ("reject-publish", "operators"), "expires": (5, "users")}


@pytest.mark.parametrize(("theirs", "winner"), [(10, "operators"), (1000, "users")])
def test_of_two_limits_the_smaller_counts(theirs, winner):
    users = a_policy({"delivery-limit": 100}, name="users")
    operators = a_policy({"delivery-limit": theirs}, name="operators", operator=True)

    assert laid(users, operators)["delivery-limit"] == (min(100, theirs), winner)


@given(one=LIMITS, other=LIMITS)
def test_no_limit_is_the_largest_of_all(one, other):
    chosen = smaller(one, other)

    assert chosen in {one, other}
    assert chosen >= 0 or one == other == -1


@pytest.mark.parametrize(
    ("key", "argument", "policy", "counts"),
    [
        ("overflow", "reject-publish", "drop-head", "drop-head"),
        ("dead-letter-exchange", "dead", "elsewhere", "dead"),
        ("message-ttl", 5000, 100, 100),
        ("message-ttl", 100, 5000, 100),
        ("overflow", None, "drop-head", "drop-head"),
        ("overflow", "reject-publish", None, "reject-publish"),
        ("overflow", None, None, None),
    ],
)
def test_what_counts_of_an_argument_and_a_policy(key, argument, policy, counts):
    assert result(key, argument, policy) == counts


@pytest.mark.parametrize(
    ("key", "wanted", "argument", "reached"),
    [
        ("overflow", "reject-publish", "drop-head", True),
        ("delivery-limit", 1000, None, True),
        ("delivery-limit", 1000, 5, False),
        ("message-ttl", None, 5000, False),
        ("dead-letter-exchange", "dead", "elsewhere", False),
        ("queue-type", "quorum", "classic", False),
    ],
)
def test_what_a_policy_can_put_right(key, wanted, argument, reached):
    assert a_policy_reaches(key, wanted, argument) is reached
