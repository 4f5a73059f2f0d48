"""A message as an operator may see it without a reason: what it is, and which fields it has, but nobody's data."""

import json
from typing import Any
from uuid import UUID

MASK = "•••"


def masked(payload: bytes) -> Any:
    """Return the envelope with every value of its data masked, except ids (UUIDs), truth values and nulls.

    What cannot be read as a CloudEvent in JSON is masked as a whole.
    """
    try:
        envelope = json.loads(payload)
    except ValueError:
        return MASK
    if not isinstance(envelope, dict):
        return MASK
    return {name: _masked(value) if name == "data" else value for name, value in envelope.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(member) for member in value]
    return value if value is None or isinstance(value, bool) or _is_id(value) else MASK


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False
