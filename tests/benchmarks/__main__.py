"""`./dev bench`: measure ours against our peers on real servers, and write a table and a plot."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.books import BooksDoNotBalance
from benchmarks.measuring import ContenderFailed
from benchmarks.run import FULL, QUICK, Run
from benchmarks.servers import NoServer, open_servers
from benchmarks.studies import backlog, consume, inbox, latency, memory, posts, relay, scale_out

STUDIES = {study.NAME: study for study in (relay, consume, latency, posts, scale_out, backlog, inbox, memory)}


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for. Returns 1 when something could not be measured; wrong use exits with 2."""
    asked = parser().parse_args(arguments)
    scale = QUICK if asked.quick else FULL
    given = {
        name: value for name in ("rounds", "messages", "inbox_rows") if (value := getattr(asked, name)) is not None
    }
    folder = Path(asked.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open_servers() as servers:
            run = Run(replace(scale, **given), servers, folder, tuple(asked.contender))
            run.say(f"measuring on {servers.describe()}; results in {folder}")
            asyncio.run(studied(run, asked.only or list(STUDIES)))
    except (NoServer, ContenderFailed, BooksDoNotBalance) as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 1
    return 0


async def studied(run: Run, names: Sequence[str]) -> None:
    """Do the studies of these names, one after the other."""
    for name in names:
        await STUDIES[name].study(run)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    command.add_argument("--quick", action="store_true", help="few messages, one round: shows that it works")
    command.add_argument("--only", type=_names, metavar="STUDIES", help=f"some of {', '.join(STUDIES)}, by commas")
    command.add_argument("--contender", action="append", default=[], metavar="WORD", help="those whose name has it")
    command.add_argument("--rounds", type=_positive, help="how often each contender is measured")
    command.add_argument("--messages", type=_positive, help="how many each contender publishes or consumes")
    command.add_argument("--inbox-rows", type=_positive, help="how many old rows the inbox holds: 10000000, say")
    command.add_argument("--out", default=".tidings/bench", metavar="DIR", help="where results go (%(default)s)")
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
    sys.exit(main(sys.argv[1:]))
