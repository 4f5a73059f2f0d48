"""Both services in this process, composed as in production, each behind a fault proxy of its own before the broker.

Each has the rights on the broker that `deploy/rabbitmq/definitions.json` gives it, and a PostgreSQL database of its
own. Who hears of every user stands in `support/subscribers.py`; where that is all of them, dead letters are collected.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import fields
from typing import TypeVar

from pydantic_settings import BaseSettings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from support.administrator import Administrator
from support.bookkeeping import create_index
from support.books import WEBHOOK_SECRET, Books
from support.clients import asking
from support.databases import PostgresServer
from support.faultproxy import FaultProxy, fault_proxy
from support.pair import Pair, Scene
from support.rabbit import Rabbit
from support.repository import read
from support.smtp import smtp_catcher
from support.subscribers import TWO, open_subscribers
from support.tasks import create_effects
from support.webhooks import webhook_receiver
from yarl import URL

from consumer_service import database as consumer_database
from consumer_service.dead_letters.collector import CollectorProcess
from consumer_service.dead_letters.readers import Readers
from consumer_service.dispatch import AnyTask
from consumer_service.effects.mailer import Mailer
from consumer_service.migrations import migrate
from consumer_service.settings import Settings as ConsumerSettings
from consumer_service.worker import Worker
from producer_service import database as producer_database
from producer_service.app import producer, relay_alone
from producer_service.migrations import VERSION_TABLE, newest
from producer_service.models import Base as ProducerTables
from producer_service.settings import ApiSettings as ProducerSettings
from shared.backends import open_transport

HEARTBEAT_SECONDS = 2
"""A dead peer is noticed after (2 + 1) * 3 = 9 s; the default of 10 would take 33 s."""


PASSWORD = "a-password-for-tests"

S = TypeVar("S", bound=BaseSettings)

LINK_SECRET = "a-link-secret-of-at-least-32-characters"
"""Of both services."""


@asynccontextmanager
async def open_scene(
    rabbit: Rabbit, postgres: PostgresServer, *, subscribers: Sequence[type[AnyTask]] = TWO
) -> AsyncIterator[Scene]:
    """Give a virtual host with nothing in it but the topology, two databases, and two ways to the broker."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(Administrator(rabbit, rabbit.new_vhost()))
        outbox_url, outbox = await stack.enter_async_context(_outbox(postgres))
        inbox_url, inbox = await stack.enter_async_context(_inbox(postgres))
        smtp = await stack.enter_async_context(smtp_catcher())
        calls = await stack.enter_async_context(webhook_receiver())
        books = Books(admin, inbox, smtp, calls, subscribers)
        await open_transport(admin.url, name="topology").apply(books.topology)
        publishing, consuming = [await stack.enter_async_context(_proxy(admin.url)) for _ in range(2)]
        yield Scene(
            rabbit=rabbit,
            admin=admin,
            publishing=publishing,
            consuming=consuming,
            smtp=smtp,
            outbox=outbox,
            inbox=inbox,
            books=books,
            producer_env=_producer_env(await _url(admin, "producer", publishing), outbox_url),
            consumer_env=_consumer_env(await _url(admin, "consumer", consuming), inbox_url, books),
            collector_env={
                "TIDINGS_BROKER_URL": await _url(admin, "collector", consuming),
                "TIDINGS_DATABASE_URL": inbox_url,
            },
        )


@asynccontextmanager
async def open_pair(scene: Scene) -> AsyncIterator[Pair]:
    """Run both services in this scene; stop them in the end, and raise whatever had ended one of them."""
    async with AsyncExitStack() as stack:
        settings = settings_from(ProducerSettings, scene.producer_env)
        transport = open_transport(settings.broker_url.get_secret_value(), name="producer")
        api = await stack.enter_async_context(asking(await stack.enter_async_context(producer(settings, transport))))
        worker = await stack.enter_async_context(working(scene))
        if scene.books.are_all_kept:
            await stack.enter_async_context(_collecting(scene))
        yield Pair(**{each.name: getattr(scene, each.name) for each in fields(scene)}, api=api, worker=worker)


def _proxy(url: str) -> AbstractAsyncContextManager[FaultProxy]:
    broker = URL(url)
    return fault_proxy(str(broker.host), broker.port or 5672)


def rights_of(service: str) -> dict[str, str]:
    """Return what a service may write and read on the broker."""
    permissions = json.loads(read("deploy/rabbitmq/definitions.json"))["permissions"]
    (rights,) = (each for each in permissions if each["user"] == service)
    return {"write": rights["write"], "read": rights["read"]}


async def _url(admin: Administrator, service: str, way: FaultProxy) -> str:
    """Add a user with the service's rights; return the URL by which it connects through its proxy."""
    url = await admin.add_user(admin.user_of(service), PASSWORD, **rights_of(service))
    return str(URL(url).with_host("127.0.0.1").with_port(way.port).update_query(heartbeat=HEARTBEAT_SECONDS))


@asynccontextmanager
async def _outbox(postgres: PostgresServer) -> AsyncIterator[tuple[str, AsyncEngine]]:
    """The producer's database as its migrations leave it, made faster."""
    async with postgres.new_database() as url:
        engine = producer_database.open_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(ProducerTables.metadata.create_all)
            await connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY)"))
            await connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES ('{newest()}')"))  # noqa: S608 - ours
        yield url, engine
        await engine.dispose()


@asynccontextmanager
async def _inbox(postgres: PostgresServer) -> AsyncIterator[tuple[str, AsyncEngine]]:
    """The consumer's database, with the book that one of its tasks keeps; the engine is also the worker's."""
    async with postgres.new_database() as url:
        engine = consumer_database.open_engine(url, pool_size=30)
        await migrate(engine)
        await create_effects(engine)
        await create_index(engine)
        yield url, engine
        await engine.dispose()


def _producer_env(broker_url: str, database_url: str) -> dict[str, str]:
    return {
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_LINK_SECRET": LINK_SECRET,
    }


def _consumer_env(broker_url: str, database_url: str, books: Books) -> dict[str, str]:
    receiver = {"TIDINGS_WEBHOOK_URL": books.calls.url, "TIDINGS_WEBHOOK_SECRET": WEBHOOK_SECRET}
    return {
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_CONCURRENCY": "4",
        "TIDINGS_DRAIN_SECONDS": "5",
        "TIDINGS_MAIL_URL": books.smtp.url,
        "TIDINGS_MAIL_FROM": "Tidings <no-reply@example.org>",
        "TIDINGS_LINK_SECRET": LINK_SECRET,
        "TIDINGS_LINK_BASE_URL": "https://example.org",
        **(receiver if books.are_all_kept else {}),
    }


def settings_from(kind: type[S], env: Mapping[str, str]) -> S:
    """Return the settings that a process in this environment would read."""
    return kind(**{name.removeprefix("TIDINGS_").lower(): value for name, value in env.items()})


@asynccontextmanager
async def working(scene: Scene, **env: str) -> AsyncIterator[Worker]:
    """Run a worker for all subscribers of this scene; stop it, as an orchestrator would, on leaving."""
    settings = settings_from(ConsumerSettings, {**scene.consumer_env, **env})
    transport = open_transport(settings.broker_url, name="consumer")
    async with open_subscribers(settings, Mailer(settings.mail_url or "")) as tasks:
        worker = Worker(settings=settings, transport=transport, engine=scene.inbox, tasks=tasks)
        async with _running(worker):
            yield worker


@asynccontextmanager
async def _collecting(scene: Scene) -> AsyncIterator[None]:
    transport = open_transport(scene.collector_env["TIDINGS_BROKER_URL"], name="collector")
    readers = Readers(scene.books.subscribers)
    async with _running(CollectorProcess(transport=transport, engine=scene.inbox, readers=readers)):
        yield


@asynccontextmanager
async def _running(process: Worker | CollectorProcess) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(process.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def relaying(scene: Scene) -> AsyncIterator[None]:
    """Publish what the outbox holds, for as long as this context lasts."""
    settings = settings_from(ProducerSettings, scene.producer_env)
    transport = open_transport(settings.broker_url.get_secret_value(), name="relay")
    async with relay_alone(settings, transport):
        yield
