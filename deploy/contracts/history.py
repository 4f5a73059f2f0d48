"""What was promised: every released form of every type, as files; or the forms that another revision has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deploy.contracts.compatibility import breaks
from deploy.contracts.documents import as_text
from deploy.contracts.messages import envelope_of
from deploy.contracts.schemas import schema_of
from shared.contracts import WIRE_TYPE, Contract
from shared.envelope import schema_uri

RELEASED = "contracts/released"
SCHEMAS = "contracts/schemas"
SCHEMA, MESSAGE = ".schema.json", ".message.json"
GIT_SECONDS = 30


class Promise(NamedTuple):
    """One form of one type that somebody may rely on: messages of it are stored, readers of it are deployed."""

    wire_type: str
    origin: str
    schema: Mapping[str, Any]
    message: bytes | None = None
    """One as it was written when that form was released."""


class UnknownBase(Exception):
    """There is nothing to compare with where somebody said that there is. Says what to do."""


def released(root: Path) -> tuple[Promise, ...]:
    """Return every released form, oldest first within a type. Raises UnknownBase for one that is damaged."""
    files = sorted((root / RELEASED).glob(f"*/*{SCHEMA}"), key=lambda file: (file.parent.name, _number(file)))
    return tuple(_released(file) for file in files)


def promised_by(root: Path, base: str) -> tuple[Promise, ...]:
    """Return the schemas of a folder, or of a git revision. Raises UnknownBase when there are none.

    A folder may be another clone, its `contracts`, or any folder of files that are named like a wire type.
    """
    found = tuple(_in_folder(Path(base)) if base and Path(base).is_dir() else _in_revision(root, base))
    if not found:
        raise UnknownBase(f"{base}: no schemas there; name a folder of <wire type>.json, or a revision with {SCHEMAS}/")
    return found


def release(root: Path, contracts: Sequence[type[Contract]]) -> Sequence[str]:
    """Freeze each contract whose form has changed since its last release, with a message of it; return what is new.

    Call it with nothing broken. What only says something to people, like a description, is no change.
    """
    latest = {promise.wire_type: promise for promise in released(root)}
    written = []
    for contract in contracts:
        schema, before = schema_of(contract), latest.get(contract.wire_type)
        if before is None or _differ(before.schema, schema):
            path = f"{RELEASED}/{contract.wire_type}/{_next(contract.wire_type, before)}"
            _write(root / f"{path}{SCHEMA}", schema)
            _write(root / f"{path}{MESSAGE}", envelope_of(contract))
            written.append(path)
    return written


def _released(file: Path) -> Promise:
    number, message = file.name.removesuffix(SCHEMA), file.with_name(file.name.replace(SCHEMA, MESSAGE))
    found = _promise(file.parent.name, f"release {number}", file.read_text(encoding="utf-8"))
    if not message.is_file():
        raise UnknownBase(
            f"{message.parent.name}/{message.name} is missing; restore what was recorded with {file.name}"
        )
    return found._replace(message=message.read_bytes())


def _promise(wire_type: str, origin: str, text: str) -> Promise:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise UnknownBase(f"{origin}: the schema of {wire_type} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise UnknownBase(f"{origin}: the schema of {wire_type} is not a JSON object")
    return Promise(wire_type, origin, schema)


def _write(file: Path, document: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_text(document), encoding="utf-8", newline="\n")


def _number(file: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", file.name))


def _next(wire_type: str, before: Promise | None) -> str:
    major = schema_uri(wire_type).rpartition(":")[2]
    minor = int(before.origin.rpartition(".")[2]) + 1 if before else 0
    return f"{major}.{minor}"


def _differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether two forms differ for a validator; a new optional field is a break only the other way round."""
    return bool(breaks(old, new) or breaks(new, old))


def _in_folder(folder: Path) -> Iterator[Promise]:
    inner = next((each for each in (folder / SCHEMAS, folder / "schemas") if each.is_dir()), folder)
    for file in sorted(inner.glob("*.json")):
        if WIRE_TYPE.fullmatch(file.stem):
            yield _promise(file.stem, str(folder), file.read_text(encoding="utf-8"))


def _in_revision(root: Path, revision: str) -> Iterator[Promise]:
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    for path in _git(root, "ls-tree", "-r", "--name-only", commit, f"{SCHEMAS}/").split():
        yield _promise(Path(path).stem, revision, _git(root, "show", f"{commit}:{path}"))


def _git(root: Path, *arguments: str) -> str:
    """Ask git. Raises UnknownBase when it does not know, or is not there."""
    command = [shutil.which("git") or "git", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and a revision cannot be taken for an option
            command, cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        asked = arguments[-1].removesuffix("^{commit}")
        raise UnknownBase(f"{asked!r}: neither a folder nor a revision that git knows here") from None
    return done.stdout
