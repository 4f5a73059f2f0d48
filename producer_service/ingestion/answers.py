"""From what became of events to what their sender is told."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic_core import to_json

from producer_service.ingestion.accepting import Accepted, Outcome
from producer_service.ingestion.idempotency import Answer, InProgress, KeyReused
from producer_service.ingestion.offers import NotJson, WrongMedia
from producer_service.ingestion.refusals import FieldError, Reason, Refusal, Refused
from producer_service.pointers import pointer_to
from producer_service.problems import (
    ID_TAKEN,
    IN_PROGRESS,
    INVALID,
    KEY_REUSED,
    MALFORMED,
    MOST_ERRORS,
    OUT_OF_SCOPE,
    TOO_LARGE,
    WRONG_MEDIA,
    Kind,
    Problem,
)

KINDS: Mapping[Reason, Kind] = {
    Reason.INVALID: INVALID,
    Reason.OUT_OF_SCOPE: OUT_OF_SCOPE,
    Reason.CONFLICT: ID_TAKEN,
    Reason.OVERSIZED: TOO_LARGE,
}
AGAIN_SECONDS = 1
"""After which a request that met another with its key may come again; most are done by then."""

MOST_EACH = 5
"""Errors that are told of one event of a batch, so that the answer does not outgrow what was sent."""

JSON = {"Content-Type": "application/json"}


def tell_one(outcomes: Sequence[Outcome]) -> Answer:
    """Answer for one event. Raises Problem when it was refused."""
    (outcome,) = outcomes
    if isinstance(outcome, Refusal):
        raise problem(outcome)
    body = to_json({"status": "accepted", "event_id": outcome.event_id})
    return Answer(202, JSON | {"Location": _location(outcome.event_id)}, body)


def tell_several(outcomes: Sequence[Outcome]) -> Answer:
    """Answer for a batch, event by event: 202 when all were accepted, 207 when some were not."""
    accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes)
    refused = len(outcomes) - accepted
    body = {"accepted": accepted, "refused": refused, "events": [_told(outcome) for outcome in outcomes]}
    return Answer(207 if refused else 202, JSON, to_json(body))


def tell_all_or_nothing(outcomes: Sequence[Outcome]) -> Answer:
    """Answer for a batch that is wanted whole. Raises Problem when any event was refused: then none is recorded."""
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if refusals:
        errors = [error for refusal in refusals for error in refusal.errors]
        raise problem(Refusal(refusals[0].reason, errors))
    return tell_several(outcomes)


def problem(refusal: Refusal) -> Problem:
    """Return what a refused request is answered."""
    return Problem(KINDS[refusal.reason], errors=_errors(refusal.errors))


@contextmanager
def problems_told() -> Iterator[None]:
    """Turn what may go wrong with a request as a whole into the Problem that says so."""
    try:
        yield
    except NotJson:
        raise Problem(MALFORMED) from None
    except WrongMedia as error:
        raise Problem(WRONG_MEDIA, detail=str(error)) from None
    except Refused as error:
        raise problem(error.refusal) from None
    except KeyReused:
        raise Problem(KEY_REUSED) from None
    except InProgress:
        raise Problem(IN_PROGRESS, headers={"Retry-After": str(AGAIN_SECONDS)}) from None


def _told(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Accepted):
        return {"status": "accepted", "event_id": outcome.event_id, "location": _location(outcome.event_id)}
    kind = KINDS[outcome.reason]
    said = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "errors": _errors(outcome.errors[:MOST_EACH]),
    }
    return {"status": "refused", "event_id": outcome.event_id, "problem": said}


def _errors(errors: Sequence[FieldError]) -> list[dict[str, str]]:
    return [_error(error) for error in errors[:MOST_ERRORS]]


def _error(error: FieldError) -> dict[str, str]:
    where = {"header": error.header} if error.header else {"pointer": pointer_to(error.location)}
    return {**where, "detail": error.detail}


def _location(event_id: str) -> str:
    return f"/v1/events/{event_id}"
