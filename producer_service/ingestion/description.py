"""What the API description (OpenAPI) says of ingestion; its bodies are read by hand, for speed. Data only."""

from typing import Any

from producer_service.ingestion.offers import BATCHED, MOST_EVENTS
from producer_service.problems import (
    BAD_IDEMPOTENCY_KEY,
    BUSY,
    ID_TAKEN,
    IN_PROGRESS,
    INTERNAL,
    INVALID,
    KEY_REUSED,
    MALFORMED,
    NO_API_KEY,
    NO_DATABASE,
    OUT_OF_SCOPE,
    OUTBOX_FULL,
    RATE_LIMITED,
    SLOW,
    TOO_LARGE,
    WRONG_MEDIA,
    in_openapi,
)
from shared.envelope import STRUCTURED

_PLAIN = {"type": "string"}
_SHORT: dict[str, Any] = {
    "type": "object",
    "description": "The short form. Unless they are given, `source` is the API key's, `id` a new one, `time` now.",
    "required": ["type", "data"],
    "properties": {"type": _PLAIN, "data": {"type": "object"}}
    | dict.fromkeys(("id", "source", "subject", "time", "correlationid", "causationid", "traceparent"), _PLAIN)
    | {
        "deliverat": {"type": "string", "format": "date-time", "description": "Not before this moment."},
        "lane": {"enum": ["normal", "bulk"], "description": "`bulk` keeps nobody waiting who stands in `normal`."},
    },
}
_CLOUDEVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent 1.0 in structured mode.",
    "required": ["specversion", "id", "source", "type", "data"],
    "properties": _SHORT["properties"] | {"specversion": {"const": "1.0"}},
}


def _several(of: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": of}}


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Whoever repeats the request with its key gets the first answer again, and nothing happens twice.",
}
EVENT: dict[str, Any] = {
    "parameters": [_KEY],
    "requestBody": {
        "required": True,
        "content": {STRUCTURED: {"schema": _CLOUDEVENT}, "application/json": {"schema": _SHORT}},
    },
}
BATCH: dict[str, Any] = {
    "parameters": [_KEY],
    "requestBody": {
        "required": True,
        "content": {BATCHED: _several(_CLOUDEVENT), "application/json": _several(_SHORT)},
    },
}
_ACCEPTED: dict[str, Any] = {
    "type": "object",
    "required": ["status", "event_id"],
    "properties": {"status": {"const": "accepted"}, "event_id": _PLAIN, "location": _PLAIN},
}
_REFUSED: dict[str, Any] = {
    "type": "object",
    "required": ["status", "problem"],
    "properties": {
        "status": {"const": "refused"},
        "event_id": {"type": ["string", "null"]},
        "problem": {"type": "object", "description": "What is wrong with this one, as a problem by itself."},
    },
}
_OUTCOMES: dict[str, Any] = {
    "type": "object",
    "required": ["accepted", "refused", "events"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0},
        "refused": {"type": "integer", "minimum": 0},
        "events": {"type": "array", "items": {"oneOf": [_ACCEPTED, _REFUSED]}},
    },
}


def _answered(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


ONE_ANSWER: dict[int | str, dict[str, Any]] = {202: _answered("It is committed", _ACCEPTED)}
BATCH_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: _answered("All are committed", _OUTCOMES),
    207: _answered("What was accepted is committed; `events` says of each what became of it", _OUTCOMES),
}
RESPONSES = in_openapi(
    MALFORMED, BAD_IDEMPOTENCY_KEY, NO_API_KEY, OUT_OF_SCOPE, SLOW, IN_PROGRESS, ID_TAKEN, TOO_LARGE, WRONG_MEDIA,
    INVALID, KEY_REUSED, RATE_LIMITED, INTERNAL, BUSY, NO_DATABASE, OUTBOX_FULL,
)  # fmt: skip
