"""What travels: an event or command plus travel data, as a CloudEvents 1.0 message.

Written in structured mode: one JSON object that is the same in the outbox, on every broker and in the management
UI. Read in structured and in binary mode (attributes in `ce-` headers), so that foreign services may use either.
See the CloudEvents 1.0.2 specification and its JSON format and RabbitMQ binding.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import uuid_utils.compat
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import from_json, to_json

from shared.contracts import Contract
from shared.errors import (
    FieldProblem,
    InvalidEnvelope,
    MalformedEnvelope,
    OversizedMessage,
    UnknownType,
    UnsupportedVersion,
)
from shared.transport import LARGEST_BODY, Message

C = TypeVar("C", bound=Contract)
C_co = TypeVar("C_co", bound=Contract, covariant=True)

STRUCTURED = "application/cloudevents+json"
HEADER_PREFIXES = ("ce-", "cloudEvents_", "cloudEvents:")
"""How binary mode marks attributes: the RabbitMQ binding, and the two spellings of the AMQP 1.0 binding."""

Upcast = Callable[[str, Any], tuple[str, Any]]
"""Brings a wire type and its data up to the version that is read, or returns both as they are."""

PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
"""Ids become keys in databases and headers in mails; neither takes control characters."""

MOST_PROBLEMS = 20
"""Of one message. Whoever has more to mend begins with these."""


@dataclass(frozen=True, slots=True)
class Envelope(Generic[C_co]):
    """One event or command with its travel data. `id` is what makes two deliveries the same message."""

    id: str
    source: str
    subject: str
    time: datetime
    data: C_co
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The wire type, which is also the routing key."""
        return self.data.wire_type


def enclose(
    data: C,
    *,
    source: str,
    message_id: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    traceparent: str | None = None,
) -> Envelope[C]:
    """Put a message into a new envelope: a fresh time-ordered id (uuid7) unless one is given, now, a correlation id."""
    new_id = message_id or str(uuid_utils.compat.uuid7())
    return Envelope(
        id=new_id,
        source=source,
        subject=data.subject,
        time=datetime.now(UTC),
        data=data,
        correlation_id=correlation_id or new_id,
        causation_id=causation_id,
        traceparent=traceparent,
    )


def encode(envelope: Envelope[Contract]) -> bytes:
    """Return the final bytes: structured JSON, attributes first, absent attributes left out."""
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "subject": envelope.subject,
        "time": envelope.time,
        "datacontenttype": "application/json",
        "dataschema": schema_uri(envelope.type),
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
    }
    present = {name: value for name, value in attributes.items() if value is not None}
    return to_json(present | {"data": envelope.data})


def schema_uri(wire_type: str) -> str:
    """Return the URI that names the schema of a type: its family and its major version."""
    family, _, version = wire_type.rpartition(".v")
    return f"urn:tidings:schema:{family}:{version}" if version.isdigit() else f"urn:tidings:schema:{wire_type}:1"


class Attributes(BaseModel):
    """The attributes of a CloudEvent, as they are read. Anything else about an event is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(max_length=255, pattern=PRINTABLE)
    source: str = Field(max_length=2000, pattern=PRINTABLE)
    type: str
    subject: str | None = None
    time: AwareDatetime | None = None
    datacontenttype: str = Field(default="application/json", pattern=r"^application/(.+\+)?json(;.*)?$")
    correlationid: str | None = Field(default=None, max_length=255, pattern=PRINTABLE)
    causationid: str | None = Field(default=None, max_length=255, pattern=PRINTABLE)
    traceparent: str | None = Field(default=None, max_length=255, pattern=PRINTABLE)


class EnvelopeReader:
    """Reads messages of the contracts it was given, and says precisely why it cannot read another.

    Built once at start-up; reading compiles nothing.
    """

    def __init__(self, contracts: Iterable[type[Contract]], upcast: Upcast = lambda *current: current) -> None:
        """Compile one validator per contract. `upcast` is asked about types that none of them has."""
        self._upcast = upcast
        self._models = {contract.wire_type: _model(contract) for contract in contracts}
        self._families = {_family(wire_type) for wire_type in self._models}

    @property
    def types(self) -> list[str]:
        """The wire types that can be read, in alphabetical order."""
        return sorted(self._models)

    def read(self, message: Message) -> Envelope[Contract]:
        """Return the envelope. Raises an EnvelopeError whose message names the field, and never quotes a value."""
        if len(message.body) > LARGEST_BODY:
            raise OversizedMessage(f"{len(message.body)} bytes, the limit is {LARGEST_BODY}")
        return self.read_attributes(_attributes(message))

    def read_attributes(
        self, attributes: Mapping[str, Any], *, unknown: Literal["ignore", "forbid"] = "ignore"
    ) -> Envelope[Contract]:
        """Return the envelope of a CloudEvent that was parsed already: its attributes, with `data` among them.

        `unknown` says what to do with fields that no contract names: a reader ignores them, a door may forbid them.
        """
        wire_type, known = _wire_type(attributes), dict(attributes)
        if wire_type not in self._models:
            known["type"], known["data"] = self._upcast(wire_type, attributes.get("data"))
        model = self._models.get(known["type"])
        if model is None:
            raise self._unknown(wire_type)
        try:
            return _envelope(model.model_validate(known, extra=unknown))
        except ValidationError as error:
            raise _invalid(error) from None

    def _unknown(self, wire_type: str) -> UnknownType | UnsupportedVersion:
        if _family(wire_type) in self._families:
            return UnsupportedVersion(f"{wire_type[:255]!r} is not among {sorted(self._models)}")
        return UnknownType(f"{wire_type[:255]!r} is not among {sorted(self._models)}")


@cache
def _model(contract: type[Contract]) -> type[Attributes]:
    """Compile it once in a process, however many readers of it there are: the collector has one for each queue."""
    return create_model(f"{contract.__name__}Envelope", __base__=Attributes, data=(contract, ...))


def _family(wire_type: str) -> str:
    head, _, version = wire_type.rpartition(".v")
    return head if version.isdigit() else wire_type


def _attributes(message: Message) -> dict[str, Any]:
    """Gather attributes and data from either mode into one dictionary."""
    in_headers = _from_headers(message.headers)
    if "specversion" in in_headers:
        return in_headers | {"datacontenttype": message.content_type or "application/json", "data": _json(message.body)}
    kind = (message.content_type or STRUCTURED).partition(";")[0].strip().lower()
    if kind not in {STRUCTURED, "application/json"}:
        raise InvalidEnvelope(f"content type {kind[:80]!r} is neither {STRUCTURED} nor JSON with ce- headers")
    body = _json(message.body)
    if not isinstance(body, dict):
        raise MalformedEnvelope(f"the body is a JSON {type(body).__name__}, not an object")
    return body


def _from_headers(headers: Mapping[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in headers.items():
        for prefix in HEADER_PREFIXES:
            if name.startswith(prefix):
                text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                found[name.removeprefix(prefix).lower()] = text if isinstance(text, datetime) else str(text)
    return found


def _json(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedEnvelope(f"not JSON: {error}"[:200]) from None


def _wire_type(attributes: Mapping[str, Any]) -> str:
    wire_type = attributes.get("type")
    if not isinstance(wire_type, str) or not wire_type:
        problem = FieldProblem(("type",), "string", "a CloudEvent needs one, as a string")
        raise InvalidEnvelope(f"type: {problem.detail}", [problem])
    return wire_type


def _invalid(error: ValidationError) -> InvalidEnvelope:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    problems = [FieldProblem(each["loc"], each["type"], each["msg"]) for each in found[:MOST_PROBLEMS]]
    return InvalidEnvelope(f"{'.'.join(map(str, problems[0].location))}: {problems[0].detail}"[:200], problems)


def _envelope(read: Any) -> Envelope[Contract]:
    return Envelope(
        id=read.id,
        source=read.source,
        subject=read.subject or read.data.subject,
        time=read.time or datetime.now(UTC),
        data=read.data,
        correlation_id=read.correlationid or read.id,
        causation_id=read.causationid,
        traceparent=read.traceparent,
    )
