"""Every document that is written from the code: what it is called, and what it must say."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.contracts.asyncapi import asyncapi
from deploy.contracts.markdown import page
from deploy.contracts.schemas import schema_of
from deploy.contracts.subscriptions import Consumers
from producer_service.catalogue.entries import entries_of
from shared.contracts import Contract

HOMES = ("contracts", "producer_service/catalogue/documents")
"""For people and tools, and for the API, whose image and wheel hold nothing but its own package."""

PAGE = "docs/events.md"


def documents(contracts: Sequence[type[Contract]], consumers: Consumers, *, version: str) -> Mapping[str, str]:
    """Return the text of every document by its path from the root. The same for the same code."""
    whole = asyncapi(contracts, consumers, version=version)
    named: dict[str, Any] = {"asyncapi.json": whole}
    named |= {f"schemas/{each.wire_type}.json": schema_of(each) for each in contracts}
    texts = {name: as_text(document) for name, document in named.items()}
    found = {f"{home}/{name}": text for home in HOMES for name, text in texts.items()}
    return found | {PAGE: page(entries_of(whole))}


def as_text(document: Any) -> str:
    """Write JSON as it is committed: one key a line, so that a difference reads well."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def product_version(root: Path) -> str:
    """Return the version in pyproject.toml, which the document of all contracts shares."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def stale(root: Path, wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield the path of every document that is missing, says something else, or is there and should not be."""
    for path, text in wanted.items():
        file = root / path
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            yield path
    yield from _left_over(root, wanted)


def write(root: Path, wanted: Mapping[str, str]) -> Sequence[str]:
    """Write what is stale, remove what is left over, and return the paths."""
    changed = list(stale(root, wanted))
    for path in changed:
        file = root / path
        if path in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[path], encoding="utf-8", newline="\n")
        else:
            file.unlink()
    return changed


def _left_over(root: Path, wanted: Mapping[str, str]) -> Iterator[str]:
    for home in HOMES:
        for file in sorted((root / home / "schemas").glob("*.json")):
            path = file.relative_to(root).as_posix()
            if path not in wanted:
                yield path
