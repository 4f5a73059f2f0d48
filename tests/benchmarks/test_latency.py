import pytest
from benchmarks.studies.latency import WARMING_UP, between


def clocks(count: int, shift: float = 0.0) -> dict[str, float]:
    return {f"message {number}": number + shift for number in range(count)}


def test_it_is_the_time_between_two_clocks_of_the_same_message():
    sent, began = clocks(WARMING_UP + 100), clocks(WARMING_UP + 100, shift=0.002)

    assert between(sent, began) == {"p50_ms": pytest.approx(2.0), "p99_ms": pytest.approx(2.0)}


def test_what_was_sent_while_warming_up_is_not_counted():
    sent = clocks(WARMING_UP + 1)
    began = {message: clock + (9.0 if clock < WARMING_UP else 0.001) for message, clock in sent.items()}

    assert between(sent, began)["p99_ms"] == pytest.approx(1.0)
