"""Bodies and headers for other eyes than their owner's: the keys stay, personal values do not. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

ATTRIBUTES = frozenset(
    {
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "correlationid",
        "causationid",
        "traceparent",
    }
)
"""What an envelope says of itself. Context attributes travel in the clear, so nothing personal may be in them."""

OPEN = frozenset({"locale", "template"})
"""Fields of the data that say which text is meant, but not to whom."""

HARMLESS = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)")
"""Ids of ours (UUIDs) and moments: they tell an operator what to look for, and nobody whose they are."""


def masked_body(body: bytes) -> str:
    """Return a JSON body with every value masked that might be a person's; of any other body, its size alone."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return f"[{len(body)} bytes that are not JSON; --reveal shows them]"
    return json.dumps(_masked_envelope(found), indent=2, ensure_ascii=False)


def _masked_envelope(found: Any) -> Any:
    """Without a `specversion` it is data alone, in which an `id` may be anybody's."""
    if not isinstance(found, dict) or "specversion" not in found:
        return _masked(found)
    return {name: value if _is_attribute(name, value) else _masked(value) for name, value in found.items()}


def _is_attribute(name: str, value: object) -> bool:
    return name in ATTRIBUTES and isinstance(value, str)


def masked_headers(headers: Mapping[str, object]) -> dict[str, object]:
    """Return headers of ours and of the envelope as they are, and the others' values masked."""
    return {name: value if _is_ours(name) else _masked(value) for name, value in headers.items()}


def printable(text: str) -> str:
    """Return text that cannot steer a terminal: what does not print is written out, line ends stay."""
    return "".join(sign if sign.isprintable() or sign == "\n" else f"\\u{ord(sign):04x}" for sign in text)


def _is_ours(name: str) -> bool:
    return name.startswith("tidings-") or name.removeprefix("ce-") in ATTRIBUTES


def _masked(value: Any, *, is_open: bool = False) -> Any:
    match value:
        case None | bool():
            return value
        case dict():
            return {name: _masked(each, is_open=name in OPEN) for name, each in value.items()}
        case list():
            return [_masked(each, is_open=is_open) for each in value]
        case str() if is_open or HARMLESS.fullmatch(value):
            return value
        case str():
            return f"[masked: {len(value)} characters]"
        case _:
            return "[masked: a number]" if isinstance(value, int | float) else f"[masked: {type(value).__name__}]"
