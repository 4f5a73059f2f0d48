from xml.etree import ElementTree as ET

import pytest
from benchmarks.goals import Goal
from benchmarks.plot import Bar, bars, plot
from benchmarks.spread import Spread
from benchmarks.verdicts import Verdict

FASTER = Verdict(Goal("ours / <theirs>", "s", "o", ("t",), "n", 2.0, 3.0), "t", Spread(4.0, 3.0, 6.0))
CHEAPER = Verdict(Goal("CPU", "s", "o", ("t",), "n", 0.8, 0.5, less_is_better=True), "t", Spread(0.5, 0.25, 1.0))
ALONE = Verdict(Goal("growth", "s", "o", (), "n", 5.0, 5.0, less_is_better=True), "", Spread(2.0, 2.0, 2.0))
SVG = "{http://www.w3.org/2000/svg}"


def drawn(*verdicts: Verdict) -> ET.Element:
    return ET.fromstring(plot(bars(verdicts)))  # noqa: S314 - we wrote it ourselves


def test_where_less_is_better_the_ratio_is_turned_so_that_longer_bars_are_always_better():
    assert bars([CHEAPER]) == [Bar("CPU", Spread(2.0, 1.0, 4.0), 1.25, is_met=True)]


def test_only_comparisons_are_drawn():
    assert [bar.label for bar in bars([FASTER, ALONE])] == ["ours / <theirs>"]


def test_bars_are_as_long_as_their_ratios_on_one_scale():
    lengths = [float(each.attrib["width"]) for each in drawn(FASTER, CHEAPER).iter(f"{SVG}rect")]

    assert lengths[0] == pytest.approx(2 * lengths[1], abs=0.2)


def test_every_bar_has_the_marks_of_its_peer_its_rounds_and_its_goal():
    legend = drawn().findall(f"{SVG}line")

    lines = drawn(FASTER, CHEAPER).findall(f"{SVG}line")[len(legend) :]

    assert [each.attrib["class"] for each in lines] == 2 * ["peer", "rounds", "goal"]


def test_a_bar_that_falls_short_of_its_goal_is_drawn_in_another_colour():
    short = Verdict(FASTER.goal, "t", Spread(1.5, 1.0, 2.0))

    assert [each.attrib["class"] for each in drawn(FASTER, short).iter(f"{SVG}rect")] == ["bar", "short"]


def test_nothing_is_drawn_beyond_the_edge():
    wide = Verdict(FASTER.goal, "t", Spread(100.0, 1.0, 4000.0))
    picture = drawn(wide, CHEAPER)

    width = float(picture.attrib["viewBox"].split()[2])
    ends = [float(each.attrib["x2"]) for each in picture.iter(f"{SVG}line")]
    assert max(ends) < width


def test_it_can_be_read_on_light_and_on_dark_and_by_those_who_hear_it():
    text = plot(bars([FASTER]))

    assert "prefers-color-scheme: dark" in text
    assert "ours / &lt;theirs&gt;: 4.00 times better" in text


def test_without_comparisons_there_is_still_a_picture():
    assert drawn().tag == f"{SVG}svg"
