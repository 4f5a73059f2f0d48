"""From a message in a queue of dead letters to what is kept of it. Pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from consumer_service.dead_letters.readers import Readers
from consumer_service.dispatch import body_hash, replays
from consumer_service.notes import ERROR, FAILED_AT, FINGERPRINT, REASON, TASK
from consumer_service.outcome import as_line
from shared.errors import EnvelopeError
from shared.transport import BrokerDeath, Message

UNEXPLAINED = "unexplained"
"""The reason of a dead letter on which nobody has written one: somebody put it there by hand."""

BROKERS_WORDS: Mapping[str, str] = {
    "delivery_limit": "the broker gave up: it was delivered too often and never settled",
    "expired": "it waited longer than the queue's time to live, which is set by a policy",
    "maxlen": "the queue was over its length limit, which is set by a policy",
    "rejected": "another program rejected it, without saying why",
}
"""What RabbitMQ's own reasons mean for a queue of ours."""

LONGEST_NAME = 64
LONGEST_ID = 255
ERROR_CLASS = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,98})(?:: | at |$)")


@dataclass(frozen=True, slots=True)
class Death:
    """How one copy of a message died. `mark` is the same when this very copy is delivered again."""

    died_at: datetime
    reason: str
    error: str
    fingerprint: str
    attempts: int
    replays: int
    mark: str

    @property
    def error_class(self) -> str:
        """The kind of error, where the text begins with one; else the reason."""
        found = ERROR_CLASS.match(self.error)
        return found[1] if found else self.reason


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it was found, with the travel data that could be read, and its death."""

    queue: str
    message_id: str
    body_hash: bytes
    type: str | None
    task: str | None
    subject: str | None
    source: str | None
    correlation_id: str | None
    message: Message
    death: Death


def read_letter(message: Message, queue: str, readers: Readers, now: datetime) -> Letter:
    """Return what is known of a message that was found in the dead letters of `queue`. Never raises.

    Its id is the envelope's, because that is what the inbox knows it by; the broker's property for one that cannot be
    read; and for one without any, a name for its body.
    """
    fingerprint = body_hash(message)
    message_id, wire_type, subject, source, correlation_id = map(_printable, _about(message, queue, readers))
    return Letter(
        queue=queue,
        message_id=message_id or f"body:{fingerprint.hex()}",
        body_hash=fingerprint,
        type=wire_type,
        task=_task(message) or readers.task_name(queue, wire_type),
        subject=subject,
        source=source,
        correlation_id=correlation_id,
        message=message,
        death=read_death(message, queue, now),
    )


def _about(message: Message, queue: str, readers: Readers) -> tuple[str | None, ...]:
    try:
        envelope = readers.read(queue, message)
    except EnvelopeError:
        return message.message_id, message.type, None, message.source, message.correlation_id
    return envelope.id, envelope.type, envelope.subject, envelope.source, envelope.correlation_id


def read_death(message: Message, queue: str, now: datetime) -> Death:
    """Return how it died: by our notes, unless the broker has dead-lettered it by a rule of its own since.

    The time is that of our note, or the broker's. Where there is neither, it is the time of the event, which is earlier
    and so lets it expire too early rather than too late. It is never later than now.
    """
    by_broker = message.death if message.death is not None and message.death.queue == queue else None
    noted = _text(message, FAILED_AT) or ""
    when = by_broker.time if by_broker else _moment(noted)
    reason, error, fingerprint = _explained(message, by_broker)
    died_at = min(_aware(when or message.time or now), now)
    sent_back = replays(message)
    told = f"{sent_back}|{message.attempt}|{reason}|{when if by_broker else noted}"
    mark = hashlib.blake2b(told.encode(errors="replace"), digest_size=16).hexdigest()
    return Death(died_at, reason, error, fingerprint, message.attempt, sent_back, mark)


def _explained(message: Message, by_broker: BrokerDeath | None) -> tuple[str, str, str]:
    if by_broker is not None:
        reason = as_line(by_broker.reason)[:LONGEST_NAME] or UNEXPLAINED
        return reason, BROKERS_WORDS.get(reason, f"the broker's own reason is {reason}"), reason
    reason = (_text(message, REASON) or UNEXPLAINED)[:LONGEST_NAME]
    error = _text(message, ERROR) or "nobody has written down why it is here"
    return reason, error, (_text(message, FINGERPRINT) or reason)[:LONGEST_NAME]


def _task(message: Message) -> str | None:
    """Return the task that our note names; the note says in words when there was none."""
    noted = _text(message, TASK) or ""
    return noted[:LONGEST_ID] if noted.isidentifier() else None


def _text(message: Message, name: str) -> str | None:
    value = message.headers.get(name)
    return as_line(value) or None if isinstance(value, str) else None


def _printable(text: str | None) -> str | None:
    return text[:LONGEST_ID] if text and text.isprintable() else None


def _moment(noted: str) -> datetime | None:
    try:
        return datetime.fromisoformat(noted)
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
