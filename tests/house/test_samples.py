import pytest
from support.samples import MEGABYTE, Sample, trend


def samples_of(*megabytes):
    return [Sample(float(at), int(held * MEGABYTE), 10) for at, held in enumerate(megabytes)]


def test_what_is_held_once_is_no_growth():
    assert trend(samples_of(50, *[100] * 60)).resident == pytest.approx(0)


def test_a_hash_that_is_made_now_and_then_is_no_growth():
    assert trend(samples_of(*[100, 164, 100, 228] * 30)).resident == pytest.approx(0)


def test_a_leak_is_growth_by_all_that_was_lost_once_it_had_warmed_up():
    leaking = samples_of(*[100 + at for at in range(90)])

    assert trend(leaking).resident / MEGABYTE == pytest.approx(60, abs=10)
    assert str(trend(leaking)).endswith("MB, +0.0 descriptors")
