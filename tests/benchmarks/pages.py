"""Where the numbers of a run are written: raw, as Markdown and as a plot, and into the documentation when asked."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.plot import bars, plot
from benchmarks.report import between_markers, report, verdicts
from benchmarks.verdicts import Results

RAW, PAGE, PLOT = "results.json", "benchmarks.md", "benchmarks.svg"


class NoResults(Exception):
    """There is nothing to render. Says where it was looked for."""


def keep(folder: Path, results: Results, preface: Sequence[str]) -> None:
    """Write the raw numbers, so that a run that is cut short has not been for nothing."""
    (folder / RAW).write_text(json.dumps({"preface": preface, "results": results}, indent=1), encoding="utf-8")


def kept(folder: Path) -> tuple[Results, Sequence[str]]:
    """Return the raw numbers of an earlier run. Raises NoResults."""
    try:
        raw = json.loads((folder / RAW).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoResults(f"there is no {RAW} in {folder}; measure first, or name its folder with --out") from None
    return raw["results"], raw["preface"]


def render(folder: Path, results: Results, preface: Sequence[str]) -> None:
    """Write the page and the plot beside the raw numbers."""
    (folder / PAGE).write_text(report(results, preface), encoding="utf-8")
    (folder / PLOT).write_text(plot(bars(verdicts(results))), encoding="utf-8")


def publish(docs: Path, results: Results, preface: Sequence[str]) -> None:
    """Put the tables between the markers of the documentation's page, and the plot beside it."""
    page = docs / PAGE
    page.write_text(between_markers(page.read_text(encoding="utf-8"), report(results, preface)), encoding="utf-8")
    (docs / PLOT).write_text(plot(bars(verdicts(results))), encoding="utf-8")
