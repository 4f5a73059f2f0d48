"""`./dev bench`: measure ours against our peers on real servers, and write a table and a plot."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import ROOT
from benchmarks.pages import RAW, NoResults, kept, publish, render
from benchmarks.run import FULL, QUICK, Run, Scale
from benchmarks.servers import NoServer, open_servers
from benchmarks.studies import backlog, consume, inbox, ingestion, latency, memory, posts, relay, scale_out
from benchmarks.surroundings import preface

STUDIES = {
    study.NAME: study for study in (relay, consume, latency, posts, ingestion, scale_out, backlog, inbox, memory)
}
DOCS = ROOT / "docs"


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for. Returns 1 when something could not be measured; wrong use exits with 2."""
    asked = parser().parse_args(arguments)
    folder = Path(asked.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        failures = [] if asked.render else measured(asked, folder)
        results, lines = kept(folder)
        render(folder, results, lines)
        if asked.docs:
            publish(DOCS, results, lines)
    except (NoServer, NoResults) as trouble:
        failures = [str(trouble)]
    except KeyboardInterrupt:
        failures = [f"interrupted; what was measured until then is in {folder / RAW}"]
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failures else 0


def measured(asked: argparse.Namespace, folder: Path) -> list[str]:
    """Do the studies that are asked for, and return what went wrong. Raises NoServer."""
    scale = scale_of(asked)
    with open_servers() as servers:
        run = Run(scale, servers, folder, preface(servers, scale), tuple(asked.contender))
        run.say(f"measuring on {servers.describe()}; results in {folder}")
        asyncio.run(studied(run, asked.only or list(STUDIES)))
    return run.failures


async def studied(run: Run, names: Sequence[str]) -> None:
    """Do the studies of these names, one after the other."""
    for name in names:
        await STUDIES[name].study(run)


def scale_of(asked: argparse.Namespace) -> Scale:
    """Return how much is to be measured."""
    given = {name: getattr(asked, name) for name in ("rounds", "messages", "inbox_rows")}
    return replace(QUICK if asked.quick else FULL, **{name: value for name, value in given.items() if value})


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    command.add_argument("--quick", action="store_true", help="little of everything, one round: shows that it works")
    command.add_argument("--only", type=_names, metavar="STUDIES", help=f"some of {', '.join(STUDIES)}; by commas")
    command.add_argument("--contender", action="append", default=[], metavar="WORD", help="those whose name has it")
    command.add_argument("--rounds", type=_positive, help="how often each contender is measured")
    command.add_argument("--messages", type=_positive, help="how many each contender publishes or consumes")
    command.add_argument("--inbox-rows", type=_positive, help="how many old rows the inbox holds: 10000000, say")
    command.add_argument("--out", default=".tidings/bench", metavar="DIR", help="where results go (%(default)s)")
    command.add_argument("--render", action="store_true", help="measure nothing; write the pages of the last run anew")
    command.add_argument("--docs", action="store_true", help="write table and plot into docs/ as well")
    return command


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in STUDIES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(STUDIES)}")
    return names


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return number


if __name__ == "__main__":
    # An orchestrator's way to end us is the same as a person's, which asyncio turns into an orderly end.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(main(sys.argv[1:]))
