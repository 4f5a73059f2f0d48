import pytest

from producer_service.verdicts import LONGEST_ERROR, Parked, Postponed, Published, decide
from shared.transport import Fate, Receipt


def test_a_confirmed_row_is_published():
    assert decide(7, 0, Receipt(Fate.CONFIRMED), 0.5) == Published(7)


@pytest.mark.parametrize("fate", [Fate.FORBIDDEN, Fate.INVALID])
def test_a_row_that_cannot_succeed_unaided_is_parked_with_its_reason(fate):
    assert decide(7, 0, Receipt(fate, "no"), 0.5) == Parked(7, str(fate), f"{fate}: no")


def test_an_unroutable_row_is_parked_once_a_topology_had_time_to_be_applied():
    verdicts = [decide(7, attempts, Receipt(Fate.UNROUTABLE, "no queue"), 0.5) for attempts in range(3)]

    assert verdicts == [
        Postponed(7, 0.5, "unroutable: no queue"),
        Postponed(7, 1.5, "unroutable: no queue"),
        Parked(7, "unroutable", "unroutable: no queue"),
    ]


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.UNKNOWN])
def test_a_row_that_may_succeed_later_is_postponed(fate):
    assert decide(7, 0, Receipt(fate, "full"), 0.5) == Postponed(7, 0.5, f"{fate}: full")


def test_a_row_is_postponed_longer_after_each_attempt_but_never_over_a_minute():
    delays = [decide(7, attempts, Receipt(Fate.REFUSED), 1.0).delay for attempts in (0, 1, 5, 6, 1000)]

    assert delays == [1.0, 2.0, 32.0, 60.0, 60.0]


def test_every_fate_has_a_verdict():
    assert all(decide(7, 0, Receipt(fate), 0.0) for fate in Fate)


def test_the_words_of_the_broker_are_kept_but_not_without_end():
    assert len(decide(7, 0, Receipt(Fate.INVALID, "x" * 10_000), 0.0).error) == LONGEST_ERROR
