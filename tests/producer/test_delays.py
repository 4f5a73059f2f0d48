from datetime import UTC, datetime, timedelta

import pytest

from producer_service.clock import FromNow
from producer_service.delays import LONGEST_DELAY, moment_of_delivery

SOON = datetime.now(UTC) + timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_what_is_not_delayed_has_no_moment():
    assert moment_of_delivery(deliver_at=None, delay=None) is None
    assert moment_of_delivery(deliver_at=None, delay=timedelta(0)) is None


def test_a_moment_is_kept_as_it_is_and_a_delay_is_counted_by_the_database():
    assert moment_of_delivery(deliver_at=SOON, delay=None) == SOON
    assert isinstance(moment_of_delivery(deliver_at=None, delay=SECOND), FromNow)


def test_a_moment_that_has_passed_is_no_mistake():
    past = SOON - timedelta(days=2)

    assert moment_of_delivery(deliver_at=past, delay=None) == past


@pytest.mark.parametrize(
    ("deliver_at", "delay", "complaint"),
    [
        (SOON, SECOND, "give one of them"),
        (SOON.replace(tzinfo=None), None, "deliver_at: a moment needs a time zone"),
        (None, -SECOND, "delay: .* is negative"),
        (None, LONGEST_DELAY + SECOND, "delay: .* longer"),
        (SOON + LONGEST_DELAY, None, "deliver_at: .* further ahead"),
        (datetime.max.replace(tzinfo=UTC), None, "deliver_at: .* further ahead"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(deliver_at, delay, complaint):
    with pytest.raises(ValueError, match=complaint):
        moment_of_delivery(deliver_at=deliver_at, delay=delay)
