"""Valid things with defaults, so that a test states only what matters to it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uuid_utils.compat

from shared.contracts import Contract
from shared.envelope import STRUCTURED, Envelope, encode
from shared.events import UserCreated
from shared.topology import DOMAIN_EVENTS, DOMAIN_TASKS, Binding, Queue, Topology
from shared.transport import Message, Outgoing

ANN = UUID("01890000-0000-7000-8000-00000000000a")
VERIFICATION = UUID("01890000-0000-7000-8000-00000000000b")


def a_new_id() -> str:
    return str(uuid_utils.compat.uuid7())


def a_user_created(**changes: Any) -> UserCreated:
    fields: dict[str, Any] = {
        "user_id": ANN,
        "email": "ann@example.org",
        "name": "Ann",
        "verification_id": VERIFICATION,
    }
    return UserCreated(**(fields | changes))


def an_envelope(data: Contract | None = None, **changes: Any) -> Envelope[Contract]:
    data = data or a_user_created()
    fields: dict[str, Any] = {
        "id": a_new_id(),
        "source": "/tidings/producer",
        "subject": data.subject,
        "time": datetime.now(UTC),
        "data": data,
        "correlation_id": "c-1",
    }
    return Envelope(**(fields | changes))


def a_message(envelope: Envelope[Contract] | None = None, **changes: Any) -> Message:
    envelope = envelope or an_envelope()
    fields: dict[str, Any] = {
        "body": encode(envelope),
        "content_type": STRUCTURED,
        "message_id": envelope.id,
        "type": envelope.type,
        "source": envelope.source,
        "correlation_id": envelope.correlation_id,
        "time": envelope.time.replace(microsecond=0),
    }
    return Message(**(fields | changes))


def an_outgoing(
    message: Message | None = None, *, exchange: str = "domain.events", key: str = "user.created"
) -> Outgoing:
    return Outgoing(exchange, key, message or a_message())


def a_queue(name: str = "consumer.mail", *events: str) -> Queue:
    bindings = tuple(Binding(DOMAIN_EVENTS, event) for event in events or ("user.created",))
    family = name.rpartition(".")[2]
    return Queue(name, (*bindings, Binding(DOMAIN_TASKS, f"{family}.#")))


def a_topology(*queues: Queue) -> Topology:
    return Topology(queues or (a_queue(),))
