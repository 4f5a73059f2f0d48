"""From what was offered to an envelope that may be recorded, or to the reasons why not. No database, no HTTP.

The contracts are the only validator; what stands here is what a door asks beyond them: whether this key may say it,
whether nothing would be lost on the way, and whether the outbox can hold it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

import uuid_utils.compat

from producer_service.ingestion.offers import Form, Offer
from producer_service.ingestion.placement import NAMES, Placement, placement_of
from producer_service.ingestion.refusals import FieldError, Reason, Refusal, Refused
from producer_service.ingestion.scopes import Scope
from producer_service.schemas import what_is_no_line
from producer_service.trace_context import TRACEPARENT
from producer_service.unit_of_work import Travel
from shared.contracts import Contract
from shared.envelope import Envelope, EnvelopeReader, schema_uri
from shared.errors import FieldProblem, InvalidEnvelope

CARRIED = "id, source, type, subject, time, datacontenttype, dataschema, correlationid, causationid, traceparent, data"
LEFT_BEHIND = ("tracestate", *NAMES)
"""Known, and not carried on."""

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,254}")
"""The id becomes a path of this API, a key of databases and a header of mails."""

WORDS = re.compile(r"[ -~]{1,255}")
"""Source and correlation id become AMQP properties, which have at most 255 bytes (AMQP 0-9-1, 4.2.5.3)."""

LONGEST_SUBJECT = 255
"""Characters. The subject is a key of the outbox's indexes, whose entries PostgreSQL bounds."""

MOST_NAMED = 10
"""Types that are named to somebody whose type resembles none."""

YEARS = range(1970, 9999)
"""In which an event may have happened: what both databases can tell, in every time zone."""


class Reading:
    """Reads what one request offers, for one key."""

    def __init__(self, reader: EnvelopeReader, *, scope: Scope, travel: Travel, longest_delay: timedelta) -> None:
        """`travel` stands in for what an event does not say of itself."""
        self._reader = reader
        self._types = reader.types
        self._scope = scope
        self._travel = travel
        self._longest_delay = longest_delay

    def read(self, offer: Offer) -> Envelope[Contract]:
        """Return the envelope to record. Raises Refused, with every field that is wrong."""
        attributes = self._completed(offer)
        self._require_known(attributes, offer)
        self._require_scope(attributes, offer)
        try:
            envelope = self._reader.read_attributes(attributes, unknown="forbid")
        except InvalidEnvelope as error:
            raise _refused(offer, error.problems) from None
        problems = list(_beyond_the_contract(envelope))
        if problems:
            raise _refused(offer, problems)
        return self._travelling(envelope, attributes)

    def place(self, offer: Offer) -> Placement:
        """Return where in the outbox it is to stand. Raises Refused."""
        found = placement_of(offer.attributes, longest=self._longest_delay)
        if isinstance(found, Placement):
            return found
        raise _refused(offer, found)

    def _completed(self, offer: Offer) -> dict[str, Any]:
        """Fill in what may be left out, and take away what is known and not carried on."""
        attributes = {name: value for name, value in offer.attributes.items() if name not in LEFT_BEHIND}
        schema = attributes.pop("dataschema", None)
        if offer.form is Form.SHORT:
            attributes["specversion"] = "1.0"
            attributes.setdefault("id", str(uuid_utils.compat.uuid7()))
            if "source" not in attributes and (source := self._scope.own_source()):
                attributes["source"] = source
        if schema is not None and schema != (ours := schema_uri(str(attributes.get("type")))):
            detail = f"for this type it is {ours}, or leave it out"
            raise _refused(offer, [FieldProblem(("dataschema",), "schema", detail)])
        return attributes

    def _require_known(self, attributes: dict[str, Any], offer: Offer) -> None:
        wire_type = attributes.get("type")
        if isinstance(wire_type, str) and wire_type not in self._types:
            raise _refused(offer, [FieldProblem(("type",), "unknown", self._nearest(wire_type))])

    def _require_scope(self, attributes: dict[str, Any], offer: Offer) -> None:
        """Ask before the data is validated: what is wrong with what may not be said anyway helps nobody."""
        wire_type, source, scope = attributes.get("type"), attributes.get("source"), self._scope
        if isinstance(wire_type, str) and not scope.allows_type(wire_type):
            detail = f"this key may not send {wire_type[:255]!r}; its types are {', '.join(scope.types)}"
            raise _refused(offer, [FieldProblem(("type",), "scope", detail)], Reason.OUT_OF_SCOPE)
        if isinstance(source, str) and not scope.allows_source(source):
            detail = f"this key may not speak for this source; its sources are {', '.join(scope.sources)}"
            raise _refused(offer, [FieldProblem(("source",), "scope", detail)], Reason.OUT_OF_SCOPE)

    def _nearest(self, wire_type: str) -> str:
        allowed = [each for each in self._types if self._scope.allows_type(each)]
        near = get_close_matches(wire_type[:255], self._types, n=3, cutoff=0.5) or allowed[:MOST_NAMED]
        return f"no contract has this type; the nearest are {', '.join(near)}" if near else "no contract has this type"

    def _travelling(self, envelope: Envelope[Contract], attributes: dict[str, Any]) -> Envelope[Contract]:
        traceparent = envelope.traceparent or ""
        return replace(
            envelope,
            correlation_id=attributes.get("correlationid") or self._travel.correlation_id or envelope.id,
            causation_id=envelope.causation_id or self._travel.causation_id,
            traceparent=traceparent if TRACEPARENT.fullmatch(traceparent) else self._travel.traceparent,
        )


def _beyond_the_contract(envelope: Envelope[Contract]) -> Sequence[FieldProblem]:
    problems = []
    if not ID.fullmatch(envelope.id):
        detail = "must be 1 to 255 letters, digits and . _ ~ : @ + -, and begin with a letter or digit; a UUID is best"
        problems.append(FieldProblem(("id",), "id", detail))
    for name, value in (("source", envelope.source), ("correlationid", envelope.correlation_id)):
        if not WORDS.fullmatch(value):
            problems.append(FieldProblem((name,), name, "must be 1 to 255 printable ASCII characters"))
    if len(envelope.subject) > LONGEST_SUBJECT or not (envelope.subject and envelope.subject.isprintable()):
        detail = f"must have 1 to {LONGEST_SUBJECT} characters that can be printed"
        problems.append(FieldProblem(("subject",), "subject", detail))
    if envelope.time.year not in YEARS:
        problems.append(FieldProblem(("time",), "time", f"must lie between the years {YEARS[0]} and {YEARS[-1]}"))
    return [*problems, *_in_headers(envelope.data)]


def _in_headers(data: Contract) -> Iterator[FieldProblem]:
    for path in data.in_headers:
        value: Any = data
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
        if isinstance(value, str) and (wrong := what_is_no_line(value)):
            yield FieldProblem(("data", *path), "line", wrong)


def _refused(offer: Offer, problems: Sequence[FieldProblem], reason: Reason = Reason.INVALID) -> Refused:
    event_id = offer.attributes.get("id")
    errors = tuple(_error(offer, problem) for problem in problems)
    return Refused(Refusal(reason, errors, event_id if isinstance(event_id, str) and ID.fullmatch(event_id) else None))


def _error(offer: Offer, problem: FieldProblem) -> FieldError:
    detail = _what_would_be_right(problem)
    if offer.form is not Form.BINARY:
        return FieldError(offer.at + problem.location, detail)
    first, *rest = problem.location or ("data",)
    return FieldError(tuple(rest), detail) if first == "data" else FieldError((), detail, header=f"ce-{first}")


def _what_would_be_right(problem: FieldProblem) -> str:
    if problem.rule == "missing":
        return "is required"
    if problem.rule != "extra_forbidden":
        return problem.detail
    if len(problem.location) == 1:
        return f"is no attribute that is carried on; these are: {CARRIED}; deliverat and lane place it"
    return "is no field of this type; leave it out"
