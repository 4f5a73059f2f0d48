"""The one event that all contenders carry, and how each of them wants it written."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import uuid4

from pydantic import BaseModel

from shared.envelope import STRUCTURED, Envelope, enclose, encode
from shared.events import UserCreated
from shared.transport import Message

TASK = "bench.task"
"""The name under which task queues know what is to be done."""


class PeerEvent(BaseModel):
    """The same event, as a peer's handler takes it: parsed and checked by pydantic, as ours is."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: UserCreated


def events(count: int) -> Iterator[Envelope[UserCreated]]:
    """Yield so many events, each about another user."""
    for number in range(count):
        data = UserCreated(
            user_id=uuid4(), email=f"user{number}@example.org", name="Ann Example", verification_id=uuid4()
        )
        yield enclose(data, source="/tidings/bench")


Writer = Callable[[Envelope[UserCreated]], Message]


def as_ours(event: Envelope[UserCreated]) -> Message:
    """Write it as our relay does: structured JSON, its travel data mirrored in the properties."""
    return Message(
        body=encode(event),
        content_type=STRUCTURED,
        message_id=event.id,
        type=event.type,
        source=event.source,
        correlation_id=event.correlation_id,
        time=event.time,
    )


def as_json(event: Envelope[UserCreated]) -> Message:
    """Write the same body as plain JSON, which is what FastStream recognises without being asked."""
    return Message(body=encode(event), content_type="application/json", message_id=event.id)


def as_celery(event: Envelope[UserCreated]) -> Message:
    """Write a task message of Celery's protocol 2: (args, kwargs, embed), the name in a header."""
    body = [[json.loads(encode(event))], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    headers = {"lang": "py", "task": TASK, "id": event.id, "root_id": event.id, "argsrepr": "", "kwargsrepr": ""}
    return Message(
        body=json.dumps(body).encode(),
        content_type="application/json",
        message_id=event.id,
        correlation_id=event.id,
        headers=headers,
    )


def as_taskiq(event: Envelope[UserCreated]) -> Message:
    """Write a message of Taskiq's JSON formatter."""
    body = {
        "task_id": event.id,
        "task_name": TASK,
        "labels": {},
        "labels_types": {},
        "args": [json.loads(encode(event))],
        "kwargs": {},
    }
    headers = {"task_id": event.id, "task_name": TASK}
    return Message(body=json.dumps(body).encode(), message_id=event.id, headers=headers)


def as_dramatiq(event: Envelope[UserCreated]) -> Message:
    """Write a message of Dramatiq's JSON encoder."""
    body = {
        "queue_name": "consumer.bench",
        "actor_name": TASK,
        "args": [json.loads(encode(event))],
        "kwargs": {},
        "options": {},
        "message_id": event.id,
        "message_timestamp": int(event.time.timestamp() * 1000),
    }
    return Message(body=json.dumps(body).encode(), message_id=event.id)
