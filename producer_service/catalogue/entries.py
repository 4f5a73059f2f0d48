"""What the catalogue says about each message, read from the AsyncAPI document and from nowhere else. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from producer_service.catalogue.fields import Field, Fields

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One task that takes this message, and the queue from which it does."""

    queue: str
    task: str
    meaning: str
    guarantee: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One message: what it means, who answers for it, what is in it, who says it and who listens."""

    type: str
    kind: Literal["event", "command"]
    owner: str
    version: int
    meaning: str
    exchange: str
    routing_key: str
    lane: str
    publisher: str
    schema_id: str
    fields: tuple[Field, ...]
    example: Mapping[str, Any]
    envelope: Mapping[str, Any]
    subscribers: tuple[Subscriber, ...]


def entries_of(document: Node) -> tuple[Entry, ...]:
    """Return one entry per message of the document, in its order."""
    fields = Fields(document["components"]["schemas"])
    return tuple(_entry(document, fields, message) for message in document["components"]["messages"].values())


def _entry(document: Node, fields: Fields, message: Node) -> Entry:
    envelope = message["examples"][0]["payload"]
    wire_type = message["name"]
    return Entry(
        type=wire_type,
        kind=message["x-kind"],
        owner=message["x-owner"],
        version=int(message["x-schema-id"].rpartition(":")[2]),
        meaning=message["summary"],
        exchange=document["channels"][wire_type]["bindings"]["amqp"]["exchange"]["name"],
        routing_key=document["channels"][wire_type]["address"],
        lane=message["x-lane"],
        publisher=document["operations"][f"publish.{wire_type}"]["tags"][0]["name"],
        schema_id=message["x-schema-id"],
        fields=fields.of(message["title"]),
        example=envelope["data"],
        envelope=envelope,
        subscribers=tuple(_subscribers(document, wire_type)),
    )


def _subscribers(document: Node, wire_type: str) -> Iterator[Subscriber]:
    for operation in document["operations"].values():
        queue = operation["channel"]["$ref"].rpartition("/")[2]
        taken = {each["$ref"].rpartition("/")[2] for each in operation["messages"]}
        if operation["action"] == "receive" and wire_type in taken:
            yield Subscriber(queue, operation["title"], operation["summary"], operation["x-guarantee"])
