"""`./dev demo`: watch one event travel from an HTTP request to a delivered mail, and one task fail and recover."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr

from consumer_service.dispatch import AnyTask
from consumer_service.retry import RetryPolicy
from consumer_service.settings import Settings as ConsumerSettings
from consumer_service.tasks.notify_operators import NotifyOperators
from consumer_service.worker import open_tasks
from deploy.embedded import Pair, open_pair
from deploy.narrator import Narrator
from deploy.outside import LOOPBACK, Outside, open_outside, serving
from deploy.way_back import send_back
from producer_service.settings import ApiSettings as ProducerSettings
from shared.backends import open_transport
from shared.errors import TidingsError
from shared.transport import Transport

LINK_SECRET = SecretStr("a-secret-for-a-demo-and-nothing-else")
"""Of both services."""

PATIENCE_SECONDS = 30.0
NOTIFICATION = "consumer.notification"


class ImpatientNotifyOperators(NotifyOperators):
    """The same task with its waits shortened, so that a demo need not last until tomorrow."""

    retry: ClassVar[RetryPolicy] = RetryPolicy(limit=3, first=timedelta(seconds=1), growth=1.0, jitter=0.0)

    @classmethod
    def from_patient(cls, task: NotifyOperators) -> "ImpatientNotifyOperators":
        """Return one with the same effects."""
        return cls(webhook=task.webhook)

    @property
    def name(self) -> str:
        """Keep the name: it is the same task."""
        return NotifyOperators.__name__


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the story needs."""

    narrator: Narrator
    outside: Outside
    transport: Transport
    pair: Pair
    api: httpx2.AsyncClient
    database_url: str


def main() -> int:
    """Run the demo; 0 when every step happened as it should."""
    arguments = _arguments()
    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(_demo(arguments.broker, keep=arguments.keep))
    except (TidingsError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--broker", default="memory://", help="amqp://user:password@host/vhost for a real broker")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, with API docs and mails to look at")
    return parser.parse_args()


async def _demo(broker: str, *, keep: bool) -> int:
    narrator = Narrator()
    narrator.title(f"Tidings: one event, from an HTTP request to a delivered mail ({_shown(broker)})")
    narrator.listen()
    async with AsyncExitStack() as opened:
        stage = await _open_stage(opened, narrator, broker)
        await _tell_the_good_story(stage)
        await _tell_the_bad_story(stage)
        complete = _sum_up(stage)
        if keep:
            await _stay(stage)
    return 0 if complete else 1


async def _open_stage(opened: AsyncExitStack, narrator: Narrator, broker: str) -> Stage:
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tidings-demo-")))
    outside = await opened.enter_async_context(open_outside())
    transport = open_transport(broker, name="tidings demo")
    consumer_settings = _consumer_settings(broker, folder, outside)
    tasks = await opened.enter_async_context(open_tasks(consumer_settings, ("mail", "notification")))
    pair = await opened.enter_async_context(
        open_pair(
            producer_settings=_producer_settings(broker, folder),
            consumer_settings=consumer_settings,
            transport=transport,
            tasks=_impatient(tasks),
        )
    )
    port = await opened.enter_async_context(serving(pair.api))
    api = await opened.enter_async_context(httpx2.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=10))
    await _until(pair.worker.is_consuming, "the worker to consume")
    return Stage(narrator, outside, transport, pair, api, consumer_settings.database_url)


def _producer_settings(broker: str, folder: Path) -> ProducerSettings:
    database = SecretStr(f"sqlite:///{folder / 'producer.db'}")
    return ProducerSettings(
        broker_url=SecretStr(broker), database_url=database, link_secret=LINK_SECRET, api_docs=True, drain_seconds=0
    )


def _consumer_settings(broker: str, folder: Path, outside: Outside) -> ConsumerSettings:
    return ConsumerSettings(
        broker_url=broker,
        database_url=f"sqlite:///{folder / 'consumer.db'}",
        drain_seconds=5,
        mail_url=f"smtp://{LOOPBACK}:{outside.smtp_port}?tls=off",
        mail_from="Tidings <no-reply@tidings.example>",
        link_secret=LINK_SECRET,
        link_base_url="https://tidings.example",
        webhook_url=f"http://{LOOPBACK}:{outside.http_port}/webhook",
        webhook_secret=SecretStr("another-secret-for-a-demo"),
    )


def _impatient(tasks: Sequence[AnyTask]) -> list[AnyTask]:
    return [ImpatientNotifyOperators.from_patient(task) if type(task) is NotifyOperators else task for task in tasks]


async def _tell_the_good_story(stage: Stage) -> None:
    tell = stage.narrator.tell
    body = {"email": "ann@example.org", "password": "correct horse battery", "name": "Ann"}
    answer = await stage.api.post("/v1/users", json=body)
    event: str = answer.json()["event_id"]
    tell("request", f"POST /v1/users for ann@example.org: {answer.status_code}, event {event}")
    tell("commit", "the user's row and the outbox row, in one transaction (producer.db)")
    mail = await _until(lambda: next(iter(stage.outside.mails), None), "the mail")
    tell("mail", _excerpt(mail))
    status = await _until(lambda: _published(stage, event), "the event to be marked as published")
    tell("status", f"GET /v1/events/{event[:8]}…: {status['status']}, attempts {status['attempts']}")


async def _tell_the_bad_story(stage: Stage) -> None:
    narrator, outside = stage.narrator, stage.outside
    narrator.title("The same event went to a second queue, whose webhook receiver answers 503:")
    await _until(lambda: narrator.counts["dead letter"], "the dead letter")
    outside.receiver_in_order = True
    narrator.tell("mended", "the receiver works again; the dead letter waits in consumer.notification.dead")
    await send_back(stage.transport, stage.database_url, queue=NOTIFICATION, why="the receiver works again")
    await _until(lambda: HTTPStatus.NO_CONTENT in outside.calls, "the notification")
    await _until(lambda: narrator.counts["ack"] > 1, "the second ack")


async def _published(stage: Stage, event: str) -> dict[str, Any] | None:
    status: dict[str, Any] = (await stage.api.get(f"/v1/events/{event}")).json()
    return status if status["status"] == "published" else None


def _sum_up(stage: Stage) -> bool:
    counts, outside = stage.narrator.counts, stage.outside
    rows: list[tuple[str, int | tuple[int, int], int | tuple[int, int]]] = [
        ("HTTP requests accepted", counts["request"], 1),
        ("events published", counts["publish"], 1),
        ("queues it fanned out to", len({"consumer.mail", NOTIFICATION}), 2),
        ("mails delivered", len(outside.mails), 1),
        ("attempts that failed and waited", counts["retry"], 2),
        ("dead letters", counts["dead letter"], 1),
        ("replayed", counts["replay"], 1),
        ("webhook calls refused, accepted", (outside.calls.count(503), outside.calls.count(204)), (3, 1)),
        ("deliveries acked", counts["ack"], 2),
    ]
    stage.narrator.title("What happened:")
    for what, found, _ in rows:
        shown = ", ".join(map(str, found)) if isinstance(found, tuple) else found
        print(f"  {what:<34}{shown}")
    complete = all(found == expected for _, found, expected in rows)
    print("\nNothing was lost, and nothing was done twice." if complete else "\nThis is not what should have happened.")
    return complete


async def _stay(stage: Stage) -> None:
    print(f"\nAPI docs  {stage.api.base_url}docs\nmails     http://{LOOPBACK}:{stage.outside.http_port}/mails")
    print("Ctrl-C ends it.")
    await asyncio.Event().wait()


async def _until(probe: Callable[[], Any], what: str) -> Any:
    """Wait for something to come true; say what did not, when it takes too long."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = probe()
                found = await found if isinstance(found, Awaitable) else found
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise OSError(f"waited {PATIENCE_SECONDS:g} s for {what}, in vain") from None


def _excerpt(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    text = str(part.get_content()) if part else ""
    lines = [line for line in text.splitlines() if line.strip()][:4]
    return "\n".join([f"to {mail['to']}: {mail['subject']}", *(f"| {line}" for line in lines), "| …"])


def _shown(broker: str) -> str:
    parts = urlsplit(broker)
    return "memory broker" if parts.scheme == "memory" else f"broker at {parts.hostname}:{parts.port or 5672}"


if __name__ == "__main__":
    sys.exit(main())
