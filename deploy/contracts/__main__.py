"""Write the documents of all messages from the code, and prove that nothing said before is broken.

    ./dev contracts export              write contracts/, the API's copy of it, and docs/events.md
    ./dev contracts check               fail where they differ from the code, or the code breaks a released form
    ./dev contracts compare             name everything that breaks a released form
    ./dev contracts compare --against main          ... or what that revision, or that folder, promised
    ./dev contracts release             freeze the forms of today in contracts/released/; what is frozen is promised

Exit code 1 when something is wrong, with one line for each thing; 2 when the command itself is.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from consumer_service.upcasters import UPCASTERS
from deploy.contracts.documents import documents, product_version, stale, write
from deploy.contracts.gate import Gate
from deploy.contracts.history import Promise, UnknownBase, promised_by, release, released
from deploy.contracts.schemas import CONTRACTS, undocumented
from deploy.contracts.subscriptions import registered
from shared.contracts import Contract

ROOT = Path(__file__).resolve().parents[2]

Contracts = Sequence[type[Contract]]


def main(arguments: Sequence[str], *, root: Path = ROOT, contracts: Contracts = CONTRACTS) -> int:
    """Run one command and return its exit code."""
    asked = _parser().parse_args(arguments)
    problems = [line for contract in contracts for line in undocumented(contract)]
    if problems:
        return _fail(problems)
    try:
        return _run(asked, root, contracts)
    except UnknownBase as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _run(asked: argparse.Namespace, root: Path, contracts: Contracts) -> int:
    match asked.command:
        case "export":
            return _say(write(root, _documents(root, contracts)), "{} written", "everything is as it should be")
        case "check":
            return _check(root, contracts)
        case "compare":
            return _compare(root, contracts, asked.against)
        case _:
            return _release(root, contracts)


def _check(root: Path, contracts: Contracts) -> int:
    old = [
        f"{path} differs from the code: run ./dev contracts export" for path in stale(root, _documents(root, contracts))
    ]
    problems = [*old, *_breaks(released(root), contracts)]
    return _fail(problems) if problems else _say([], "", f"{len(contracts)} contracts, documented and unbroken")


def _compare(root: Path, contracts: Contracts, against: str | None) -> int:
    promises = released(root) if against is None else promised_by(root, against)
    problems = _breaks(promises, contracts)
    return _fail(problems) if problems else _say([], "", f"nothing breaks any of {len(promises)} promised forms")


def _release(root: Path, contracts: Contracts) -> int:
    problems = _breaks(released(root), contracts)
    return (
        _fail(problems) if problems else _say(release(root, contracts), "{} frozen", "every form is released already")
    )


def _breaks(promises: Sequence[Promise], contracts: Contracts) -> list[str]:
    return list(Gate(contracts, UPCASTERS).broken(promises))


def _documents(root: Path, contracts: Contracts) -> Mapping[str, str]:
    return documents(contracts, registered(), version=product_version(root))


def _say(paths: Sequence[str], line: str, otherwise: str) -> int:
    for path in paths:
        print(line.format(path))
    if not paths:
        print(otherwise)
    return 0


def _fail(problems: Sequence[str]) -> int:
    print("\n".join(problems), file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev contracts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("export", "check", "release"):
        commands.add_parser(name)
    compare = commands.add_parser("compare")
    compare.add_argument("--against", metavar="REV|FOLDER", help="instead of contracts/released/")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
