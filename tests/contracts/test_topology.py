from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commands import SendMail
from shared.contracts import Lane
from shared.events import UserCreated
from shared.topology import DOMAIN_EVENTS, DOMAIN_TASKS, RUNGS, choose_rung, exchange_for, matches, routing_key

KEYS = st.lists(st.sampled_from(["a", "b", "user", "created"]), min_size=1, max_size=5).map(".".join)


def test_facts_go_to_everyone_and_wishes_to_a_family():
    assert exchange_for(UserCreated) is DOMAIN_EVENTS
    assert exchange_for(SendMail) is DOMAIN_TASKS


def test_rungs_grow():
    assert all(shorter.delay < longer.delay for shorter, longer in pairwise(RUNGS))


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("user.created", "user.created", True),
        ("user.*", "user.created", True),
        ("user.*", "user.created.v2", False),
        ("user.#", "user", True),
        ("user.#", "user.created.v2", True),
        ("#", "anything.at.all", True),
        ("#.created", "user.created", True),
        ("*.created", "created", False),
        ("user.#.v2", "user.v2", True),
        ("mail.#", "mailing.send", False),
    ],
)
def test_topic_patterns_match_as_amqp_says(pattern, key, expected):
    assert matches(pattern, key) is expected


@given(KEYS)
def test_every_key_matches_itself_and_the_pattern_for_everything(key):
    assert matches(key, key)
    assert matches("#", key)


@pytest.mark.parametrize("rung", range(len(RUNGS)))
def test_a_delay_that_is_a_rung_takes_that_rung(rung):
    assert choose_rung(RUNGS[rung].delay, draw=0.0) == rung
    assert choose_rung(RUNGS[rung].delay, draw=0.999) == rung


def test_a_delay_longer_than_every_rung_takes_the_longest():
    assert choose_rung(timedelta(days=3), draw=0.5) == len(RUNGS) - 1


@given(st.floats(min_value=0.001, max_value=200_000), st.floats(min_value=0, max_value=0.999))
def test_a_delay_takes_one_of_the_two_rungs_beside_it(seconds, draw):
    delay = timedelta(seconds=seconds)

    chosen = choose_rung(delay, draw)

    assert chosen == 0 or RUNGS[chosen - 1].delay <= delay
    assert chosen == len(RUNGS) - 1 or RUNGS[chosen + 1].delay > delay


def test_a_lane_stands_before_the_type_so_that_no_pattern_of_another_lane_takes_it():
    assert routing_key("mail.send", Lane.NORMAL) == "mail.send"
    assert routing_key("mail.send", Lane.BULK) == "bulk.mail.send"
    assert not matches("mail.#", routing_key("mail.send", Lane.BULK))
