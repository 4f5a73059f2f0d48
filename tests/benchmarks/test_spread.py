import pytest
from benchmarks.spread import Spread, percentile, spread_of


def test_a_spread_is_the_median_with_the_least_and_the_most():
    assert spread_of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_one_round_has_no_width():
    assert spread_of([7.0]) == Spread(7.0, 7.0, 7.0)


@pytest.mark.parametrize(("share", "found"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_really_measured(share, found):
    assert percentile(list(range(100, 0, -1)), share) == found


def test_with_few_values_the_99th_percentile_is_the_worst_of_them():
    assert percentile([1.0, 2.0, 900.0], 0.99) == 900.0
