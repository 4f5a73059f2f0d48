import pytest
from benchmarks.report import BEGIN, END, between_markers, report

RESULTS = {
    "consume": {
        "ours, inbox": [
            {"round": 0, "per_second": 30_000.0, "client_cpu": 0.02, "broker_cpu": None},
            {"round": 1, "per_second": 20_000.0, "client_cpu": 0.04, "broker_cpu": None},
        ],
        "FastStream": [
            {"round": 0, "per_second": 10_000.0, "client_cpu": 0.2, "broker_cpu": 0.1},
            {"round": 1, "per_second": 10_000.0, "client_cpu": 0.2, "broker_cpu": 0.1},
        ],
    }
}


def line(page: str, beginning: str) -> str:
    (found,) = [each for each in page.splitlines() if each.startswith(beginning)]
    return found


def test_a_row_shows_the_median_of_each_number_and_how_far_the_rounds_lie_apart():
    page = report(RESULTS, [])

    assert line(page, "| ours, inbox").startswith("| ours, inbox | 25,000 (20,000 - 30,000) | 0.030 (0.020 - 0.040) |")


def test_rounds_that_agree_are_shown_as_one_number():
    assert line(report(RESULTS, []), "| FastStream |").startswith("| FastStream | 10,000 | 0.200 | 0.100 |")


def test_what_could_not_be_seen_is_said_to_be_unseen_and_not_zero():
    assert "| not seen |" in line(report(RESULTS, []), "| ours, inbox")


def test_goals_come_first_with_their_bars_and_whether_they_were_met():
    page = report(RESULTS, [])

    faster = line(page, "| Consume with inbox / FastStream without one")
    assert faster.endswith("| **2.50 (2.00 - 3.00)** | at least 1.5 | at least 2.2 | reached |")
    assert page.index("### Goals") < page.index("### Consuming")


def test_goals_and_studies_that_were_not_measured_are_left_out():
    page = report(RESULTS, [])

    assert "Relay" not in page
    assert "### Publishing" not in page


def test_it_begins_with_the_picture_and_what_was_measured_on():
    picture, _, first, second, *_ = report(RESULTS, ["Measured on a quiet machine.", "Two rounds."]).splitlines()

    assert picture.endswith("(benchmarks.svg)")
    assert (first, second) == ("Measured on a quiet machine.", "Two rounds.")


def test_only_what_is_between_the_markers_is_replaced():
    page = f"before\n{BEGIN}\nold numbers\n{END}\nafter\n"

    written = between_markers(page, "new numbers\n")

    assert written == f"before\n{BEGIN}\n\nnew numbers\n\n{END}\nafter\n"
    assert between_markers(written, "new numbers\n") == written


@pytest.mark.parametrize("page", ["", BEGIN, END])
def test_a_page_without_markers_is_refused(page):
    with pytest.raises(ValueError, match="missing"):
        between_markers(page, "numbers")
