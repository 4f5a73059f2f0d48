import pytest

from producer_service.ingestion.rates import Rates


@pytest.fixture
def clock():
    class Clock:
        time = 100.0

        def __call__(self):
            return self.time

    return Clock()


@pytest.fixture
def rates(clock):
    return Rates(clock)


def test_ten_seconds_worth_may_be_sent_at_once_and_no_more(rates):
    assert rates.take("a", 5, 50).granted
    assert rates.take("a", 5, 1).wait_seconds == 1


def test_what_was_not_granted_costs_nothing(rates, clock):
    rates.take("a", 5, 45)

    assert rates.take("a", 5, 20).wait_seconds == 3
    clock.time += 3
    assert rates.take("a", 5, 20).granted


def test_a_batch_larger_than_the_bucket_passes_when_it_is_full_and_is_owed(rates, clock):
    assert rates.take("a", 1, 500).granted
    assert (rates.take("a", 1, 0).wait_seconds, rates.take("a", 1, 1).wait_seconds) == (490, 491)

    clock.time += 500
    assert rates.take("a", 1, 500).granted


def test_a_bucket_holds_no_more_than_its_burst_however_long_it_rests(rates, clock):
    rates.take("a", 5, 1)
    clock.time += 10_000

    assert rates.take("a", 5, 0).remaining == 50


def test_keys_do_not_share_and_a_rate_of_nothing_is_no_limit(rates):
    rates.take("a", 1, 10)

    assert rates.take("b", 1, 10).granted
    assert all(rates.take("c", 0, 500).granted for _ in range(100))
    assert rates.take("c", 0, 1).headers() == {}


def test_the_fields_tell_the_policy_and_what_is_left(rates):
    assert rates.take("a", 5, 20).headers() == {
        "RateLimit-Policy": '"events";q=50;w=10',
        "RateLimit": '"events";r=30;t=0',
    }
