"""The messages themselves, as an AsyncAPI document's components: one per wire type, each a CloudEvent."""

import inspect
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from deploy.contracts.schemas import example_of, kind_of, schema_of
from shared.contracts import Contract
from shared.envelope import STRUCTURED, Attributes, Envelope, encode, schema_uri

Node = dict[str, Any]

EXAMPLE_ID = "01890000-0000-7000-8000-000000000001"
EXAMPLE_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONLY_IN_A_FILE = {"$schema", "$id", "$defs"}
"""Keywords that name a document of its own; inside another one they would lead its references astray."""


def components(contracts: Sequence[type[Contract]]) -> Node:
    """Return messages, schemas and the correlation id that they share."""
    schemas: Node = {"CloudEvent": _cloud_event()}
    for contract in contracts:
        _add(schemas, contract)
    return {
        "messages": {each.wire_type: _message(each) for each in contracts},
        "schemas": schemas,
        "correlationIds": {
            "correlation": {
                "description": "The same for all that one request has caused.",
                "location": "$message.payload#/correlationid",
            }
        },
    }


def envelope_of(contract: type[Contract]) -> Node:
    """Return an example of the whole CloudEvent, as the outbox would hold it."""
    data = contract.model_validate(example_of(contract))
    envelope = Envelope(
        id=EXAMPLE_ID,
        source="/tidings/producer",
        subject=data.subject,
        time=EXAMPLE_TIME,
        data=data,
        correlation_id=EXAMPLE_ID,
    )
    found: Node = json.loads(encode(envelope))
    return found


def _message(contract: type[Contract]) -> Node:
    schema = f"#/components/schemas/{contract.__name__}"
    uri = schema_uri(contract.wire_type)
    about: Node = {"type": {"const": contract.wire_type}, "dataschema": {"const": uri}, "data": {"$ref": schema}}
    return {
        "name": contract.wire_type,
        "title": contract.__name__,
        "summary": " ".join((inspect.getdoc(contract) or "").split()),
        "contentType": STRUCTURED,
        "correlationId": {"$ref": "#/components/correlationIds/correlation"},
        "tags": [{"name": kind_of(contract)}],
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEvent"},
                {"type": "object", "properties": about, "required": ["data"]},
            ]
        },
        "bindings": {"amqp": {"messageType": contract.wire_type, "bindingVersion": "0.3.0"}},
        "examples": [{"name": contract.__name__, "payload": envelope_of(contract)}],
        "x-kind": kind_of(contract),
        "x-owner": contract.owner,
        "x-lane": contract.lane.name.lower(),
        "x-schema-id": uri,
    }


def _cloud_event() -> Node:
    """Describe the attributes by the very model that reads them, and by what it leaves to CloudEvents."""
    found = {key: value for key, value in Attributes.model_json_schema().items() if key not in ONLY_IN_A_FILE}
    found["properties"] = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in found["properties"].items()
    } | {"dataschema": {"type": "string", "format": "uri", "description": "Names the schema of `data`."}}
    return found | {"title": "CloudEvent"}


def _add(schemas: Node, contract: type[Contract]) -> None:
    """Lay a contract's schema, and those that it refers to, beside the others. Raises ValueError for a name twice."""
    schema = schema_of(contract)
    parts = {contract.__name__: schema, **schema.get("$defs", {})}
    for name, part in parts.items():
        here = _moved({key: value for key, value in part.items() if key not in ONLY_IN_A_FILE})
        if schemas.setdefault(name, here) != here:
            raise ValueError(f"{contract.wire_type}: two different schemas are called {name}; rename one class")


def _moved(schema: Any) -> Any:
    """Point references at the components."""
    if isinstance(schema, list):
        return [_moved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value) for key, value in schema.items()}
    if isinstance(moved.get("$ref"), str):
        moved["$ref"] = moved["$ref"].replace("#/$defs/", "#/components/schemas/")
    return moved
