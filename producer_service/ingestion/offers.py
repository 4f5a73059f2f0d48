"""What another service has sent, taken apart but not yet judged: one event, or several, in any of their written forms.

CloudEvents 1.0 in structured, batched or binary mode (its HTTP protocol binding and JSON format), or a short form in
plain JSON: `type` and `data`, and of the other attributes what the sender wants to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message as Header
from enum import Enum, auto
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json

from producer_service.ingestion.refusals import Location, Reason, Refusal, Refused, refused
from shared.envelope import STRUCTURED

BATCHED = "application/cloudevents-batch+json"
MOST_EVENTS = 500
"""In one batch. One transaction holds them all, and one statement inserts them."""

PREFIX = "ce-"


class NotJson(Exception):
    """The body is not JSON."""


class WrongMedia(Exception):
    """The content type is none that is taken here. The message says which are."""


class Form(Enum):
    """How an event was written, which says what may be left out and where its attributes stood."""

    CLOUDEVENT = auto()
    SHORT = auto()
    BINARY = auto()


@dataclass(frozen=True, slots=True)
class Offer:
    """One event as it was sent; `at` is where in the body it stands."""

    form: Form
    attributes: Mapping[str, Any]
    at: Location = ()


def read_one(body: bytes, content_type: str, headers: Mapping[str, str]) -> Offer:
    """Take one event out of a request. `headers` by lower-case names. Raises NotJson, WrongMedia or Refused."""
    kind = _media_type(content_type)
    if kind == STRUCTURED:
        return Offer(Form.CLOUDEVENT, _object(_parse(body), ()))
    if f"{PREFIX}specversion" in headers:
        if kind != "application/json" and not kind.endswith("+json"):
            raise WrongMedia("an event in ce- headers has its data as application/json")
        return Offer(Form.BINARY, _attributes(headers) | {"datacontenttype": content_type, "data": _parse(body)})
    if kind != "application/json":
        raise WrongMedia(f"send {STRUCTURED}, or application/json")
    return _offer(_parse(body), ())


def read_several(body: bytes, content_type: str) -> list[Offer | Refusal]:
    """Take a batch out of a request; what is no event is refused by itself. Raises NotJson, WrongMedia or Refused."""
    kind = _media_type(content_type)
    if kind not in {BATCHED, "application/json"}:
        raise WrongMedia(f"send {BATCHED}, or application/json")
    entries = _parse(body)
    if not isinstance(entries, list):
        raise refused(Reason.INVALID, (), "a batch is a JSON array of events")
    if not 1 <= len(entries) <= MOST_EVENTS:
        raise refused(Reason.INVALID, (), f"a batch holds 1 to {MOST_EVENTS} events; this one has {len(entries)}")
    return [_entry(entry, (number,), strict=kind == BATCHED) for number, entry in enumerate(entries)]


def _entry(entry: Any, at: Location, *, strict: bool) -> Offer | Refusal:
    try:
        return Offer(Form.CLOUDEVENT, _object(entry, at), at) if strict else _offer(entry, at)
    except Refused as error:
        return error.refusal


def _offer(found: Any, at: Location) -> Offer:
    attributes = _object(found, at)
    return Offer(Form.CLOUDEVENT if "specversion" in attributes else Form.SHORT, attributes, at)


def _object(found: Any, at: Location) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise refused(Reason.INVALID, at, "an event is a JSON object")
    return found


def _parse(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise NotJson from None


def _attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """Gather what ce- headers say; they are percent-encoded (HTTP protocol binding, 3.1.3.2)."""
    return {name[len(PREFIX) :]: unquote(value) for name, value in headers.items() if name.startswith(PREFIX)}


def _media_type(content_type: str) -> str:
    declared = Header()
    declared["content-type"] = content_type
    return declared.get_content_type()
