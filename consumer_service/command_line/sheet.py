"""One dead letter on one page, but for its headers and body. Pure."""

from collections.abc import Sequence
from datetime import datetime

from consumer_service.dead_letters.audit import Action
from consumer_service.dead_letters.forecast import Forecast
from consumer_service.dead_letters.looking import PastDeath
from consumer_service.dead_letters.stored import DeadLetter


def sheet(letter: DeadLetter, prospect: Forecast, past: Sequence[PastDeath], done: Sequence[Action]) -> list[str]:
    """Return the page: what it is, what it died of, what a replay would come to, and its history."""
    facts = [
        ("dead letter", f"{letter.id}, {letter.state} since {_at(letter.changed_at)}"),
        ("queue", letter.queue),
        ("message", f"{letter.type or 'of unknown type'}, id {letter.message_id}"),
        ("from", f"{letter.source or 'unknown'}, about {letter.subject or 'nobody knows what'}"),
        ("correlation", letter.correlation_id or "none"),
        ("task", letter.task or "none: no task could read it"),
        ("died of", f"{letter.reason} on attempt {letter.attempts}: {letter.error}"),
        ("fingerprint", letter.fingerprint),
        ("body", f"{len(letter.body)} bytes, {letter.content_type or 'no content type'}"),
        ("a replay", f"{prospect.prospect}: {prospect.words}"),
        *_edited(letter),
        *(("death", _death(each)) for each in past),
        *(("action", _action(each)) for each in done),
    ]
    return [f"{name:<12} {text}" for name, text in facts]


def _edited(letter: DeadLetter) -> list[tuple[str, str]]:
    if letter.edited_from is None:
        return []
    return [("edited", f"from dead letter {letter.edited_from}; --reveal shows what has changed")]


def _death(death: PastDeath) -> str:
    replayed = f" after replay {death.replays}" if death.replays else ""
    return f"{_at(death.died_at)}{replayed}, attempt {death.attempts}: {death.reason}, {death.error}"


def _action(action: Action) -> str:
    more = ", ".join(f"{name} {value}" for name, value in action.details.items())
    return f"{_at(action.at)} {action.action} by {action.operator}: {action.why} ({more})"


def _at(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
