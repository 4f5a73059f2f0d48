"""Headers as text in a database, such that what comes out can be published again."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

MOMENT, BYTES = "$datetime", "$bytes"


def to_text(headers: Mapping[str, object]) -> str:
    """Return JSON in plain ASCII, which every database can hold. What JSON cannot say is said with a mark."""
    return json.dumps(dict(headers), default=_marked, sort_keys=True)


def from_text(text: str) -> dict[str, object]:
    """Return the headers that `to_text` was given; a value that it could only describe stays a text."""
    headers: dict[str, object] = json.loads(text, object_hook=_unmarked)
    return headers


def _marked(value: object) -> object:
    match value:
        case datetime():
            return {MOMENT: value.isoformat()}
        case bytes() | bytearray():
            return {BYTES: base64.b64encode(value).decode()}
        case _:
            return str(value)


def _unmarked(found: dict[str, Any]) -> object:
    match found:
        case {"$datetime": str(moment)}:
            return datetime.fromisoformat(moment)
        case {"$bytes": str(encoded)}:
            return base64.b64decode(encoded)
        case _:
            return found
