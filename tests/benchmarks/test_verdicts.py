import pytest
from benchmarks.goals import Goal
from benchmarks.spread import Spread
from benchmarks.verdicts import verdict_on

FASTER = Goal("ours / theirs", "consume", "ours", ("theirs", "better"), "per_second", bar=2.0, reach=3.0)
CHEAPER = Goal("ours / theirs", "consume", "ours", ("theirs", "better"), "client_cpu", 0.8, 0.5, less_is_better=True)
FLAT = Goal("growth", "memory", "ours", (), "growth_megabytes", 5.0, 5.0, less_is_better=True)


def rounds(number: str, *values: float | None) -> list[dict[str, float | None]]:
    return [{"round": float(place), number: value} for place, value in enumerate(values)]


def test_rounds_are_compared_with_their_own_twins_and_not_with_a_median():
    results = {"consume": {"ours": rounds("per_second", 10, 40), "theirs": rounds("per_second", 5, 10)}}

    verdict = verdict_on(FASTER, results)

    assert verdict is not None
    assert verdict.found == Spread(3.0, 2.0, 4.0)


def test_the_peer_is_the_one_with_the_best_median():
    results = {
        "consume": {
            "ours": rounds("per_second", 10),
            "theirs": rounds("per_second", 5),
            "better": rounds("per_second", 8),
        }
    }

    verdict = verdict_on(FASTER, results)

    assert verdict is not None
    assert (verdict.peer, verdict.found.middle) == ("better", 1.25)


def test_where_less_is_better_the_best_peer_is_the_one_with_the_least():
    results = {
        "consume": {
            "ours": rounds("client_cpu", 1),
            "theirs": rounds("client_cpu", 4),
            "better": rounds("client_cpu", 2),
        }
    }

    verdict = verdict_on(CHEAPER, results)

    assert verdict is not None
    assert (verdict.peer, verdict.found.middle, verdict.standing) == ("better", 0.5, "reached")


@pytest.mark.parametrize(("ours", "standing"), [(30, "reached"), (29, "met"), (20, "met"), (19, "missed")])
def test_it_says_in_one_word_whether_the_bar_was_met(ours, standing):
    verdict = verdict_on(FASTER, {"consume": {"ours": rounds("per_second", ours), "theirs": rounds("per_second", 10)}})

    assert verdict is not None
    assert verdict.standing == standing


def test_a_goal_without_peers_limits_the_number_itself():
    verdict = verdict_on(FLAT, {"memory": {"ours": rounds("growth_megabytes", 6.0)}})

    assert verdict is not None
    assert (verdict.peer, verdict.found.middle, verdict.standing) == ("", 6.0, "missed")


def test_a_round_in_which_one_of_them_failed_is_left_out():
    theirs = rounds("per_second", 5, 10)[1:]

    verdict = verdict_on(FASTER, {"consume": {"ours": rounds("per_second", 10, 40), "theirs": theirs}})

    assert verdict is not None
    assert verdict.found == Spread(4.0, 4.0, 4.0)


@pytest.mark.parametrize("measured", [{}, {"ours": rounds("per_second", 1)}, {"theirs": rounds("per_second", 1)}])
def test_there_is_no_verdict_on_what_was_not_measured(measured):
    assert verdict_on(FASTER, {}) is None
    assert verdict_on(FASTER, {"consume": measured}) is None
