"""The goals that are ratios, as horizontal bars: how many times better than the peer, and how far rounds lie apart.

A drawing of rectangles and text, so it needs no library. It has no background and takes its colours from whether the
reader's page is light or dark. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.spread import Spread
from benchmarks.verdicts import Verdict

WIDTH, MARGIN, ROW, TOP = 860, 12, 54, 34
BAR_LEFT, BAR_WIDTH, BAR_HEIGHT = MARGIN, 570, 16
LEAST_SCALE = 2.0

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 12px; fill: #59636e }
  .bar { fill: #57ab7a } .short { fill: #e0975b }
  .rounds { stroke: #1f2328; stroke-width: 2 } .peer { stroke: #1f2328; stroke-dasharray: 3 2 }
  .goal { stroke: #8250df; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .bar { fill: #2f7d4f } .short { fill: #a2561a }
    .rounds { stroke: #f0f6fc } .peer { stroke: #f0f6fc } .goal { stroke: #bc8cff }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One goal, turned so that more is always better."""

    label: str
    found: Spread
    bar: float
    is_met: bool


def bars(verdicts: Sequence[Verdict]) -> list[Bar]:
    """Return a bar for every goal that compares us with somebody."""
    return [_bar(each) for each in verdicts if each.peer]


def plot(drawn: Sequence[Bar]) -> str:
    """Return an SVG document."""
    scale = BAR_WIDTH / max([LEAST_SCALE, *(each.found.most for each in drawn), *(each.bar for each in drawn)])
    height = TOP + ROW * len(drawn) + MARGIN
    rows = "\n".join(_row(each, TOP + ROW * number, scale) for number, each in enumerate(drawn))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_summary(drawn)}">
<style>{STYLE}</style>
<line class="peer" x1="{BAR_LEFT + 4}" y1="8" x2="{BAR_LEFT + 4}" y2="24"/>
<text class="small" x="{BAR_LEFT + 12}" y="20">as good as the peer</text>
<line class="goal" x1="{BAR_LEFT + 154}" y1="8" x2="{BAR_LEFT + 154}" y2="24"/>
<text class="small" x="{BAR_LEFT + 162}" y="20">our bar</text>
<line class="rounds" x1="{BAR_LEFT + 228}" y1="16" x2="{BAR_LEFT + 252}" y2="16"/>
<text class="small" x="{BAR_LEFT + 260}" y="20">from the least round to the most</text>
{rows}
</svg>
"""


def _bar(verdict: Verdict) -> Bar:
    goal, found = verdict.goal, verdict.found
    if goal.less_is_better:
        found = Spread(1 / found.middle, 1 / found.most, 1 / found.least)
    bar = 1 / goal.bar if goal.less_is_better else goal.bar
    return Bar(goal.what, found, bar, verdict.standing != "missed")


def _row(bar: Bar, top: int, scale: float) -> str:
    """Draw the label above, then the bar with the line of its rounds, the goal's tick, and the number behind it."""
    y = top + 22
    middle, least, most = (value * scale for value in (bar.found.middle, bar.found.least, bar.found.most))
    across, goal, peer = y + BAR_HEIGHT / 2, BAR_LEFT + bar.bar * scale, BAR_LEFT + scale
    behind = BAR_LEFT + max(middle, most, bar.bar * scale) + 8
    kind = "bar" if bar.is_met else "short"
    return f"""\
<text x="{BAR_LEFT}" y="{top + 15}">{escape(bar.label)}</text>
<rect class="{kind}" x="{BAR_LEFT}" y="{y}" width="{middle:.1f}" height="{BAR_HEIGHT}" rx="2"/>
<line class="peer" x1="{peer:.1f}" y1="{y - 3}" x2="{peer:.1f}" y2="{y + BAR_HEIGHT + 3}"/>
<line class="rounds" x1="{BAR_LEFT + least:.1f}" y1="{across}" x2="{BAR_LEFT + most:.1f}" y2="{across}"/>
<line class="goal" x1="{goal:.1f}" y1="{y - 3}" x2="{goal:.1f}" y2="{y + BAR_HEIGHT + 3}"/>
<text class="small" x="{behind:.1f}" y="{y + 13}">{_times(bar)}</text>"""


def _times(bar: Bar) -> str:
    return f"{bar.found.middle:.2f} times ({bar.found.least:.2f} - {bar.found.most:.2f}), bar {bar.bar:.2f}"


def _summary(drawn: Sequence[Bar]) -> str:
    return escape("; ".join(f"{each.label}: {each.found.middle:.2f} times better" for each in drawn), quote=True)
