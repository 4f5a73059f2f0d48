"""Both services in this process, composed as in production, each behind a fault proxy of its own before the broker.

Each has the rights on the broker that `deploy/rabbitmq/definitions.json` gives it, and a PostgreSQL database of its
own. Two subscribers hear of every user: `consumer.mail` sends a real mail, `consumer.bookkeeping` writes a row.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import fields
from typing import TypeVar

from pydantic_settings import BaseSettings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from support.administrator import Administrator
from support.bookkeeping import Bookkeeping
from support.clients import asking
from support.databases import PostgresServer
from support.faultproxy import FaultProxy, fault_proxy
from support.pair import TOPOLOGY, Pair, Scene
from support.rabbit import Rabbit
from support.repository import read
from support.smtp import SmtpCatcher, smtp_catcher
from support.tasks import create_effects
from yarl import URL

from consumer_service import database as consumer_database
from consumer_service.migrations import migrate
from consumer_service.settings import Settings as ConsumerSettings
from consumer_service.tasks.verification_mail import SendVerificationMail
from consumer_service.worker import Worker, open_tasks
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
async def open_scene(rabbit: Rabbit, postgres: PostgresServer) -> AsyncIterator[Scene]:
    """Give a virtual host with nothing in it but the topology, two databases, and two ways to the broker."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(Administrator(rabbit, rabbit.new_vhost()))
        await open_transport(admin.url, name="topology").apply(TOPOLOGY)
        outbox_url, outbox = await stack.enter_async_context(_outbox(postgres))
        inbox_url, inbox = await stack.enter_async_context(_inbox(postgres))
        smtp = await stack.enter_async_context(smtp_catcher())
        publishing, consuming = [await stack.enter_async_context(_proxy(admin.url)) for _ in range(2)]
        yield Scene(
            rabbit=rabbit,
            admin=admin,
            publishing=publishing,
            consuming=consuming,
            smtp=smtp,
            outbox=outbox,
            inbox=inbox,
            producer_env=_producer_env(await _url(admin, "producer", publishing), outbox_url),
            consumer_env=_consumer_env(await _url(admin, "consumer", consuming), inbox_url, smtp),
        )


@asynccontextmanager
async def open_pair(scene: Scene) -> AsyncIterator[Pair]:
    """Run both services in this scene; stop them in the end, and raise whatever had ended one of them."""
    async with AsyncExitStack() as stack:
        settings = settings_from(ProducerSettings, scene.producer_env)
        transport = open_transport(settings.broker_url.get_secret_value(), name="producer")
        api = await stack.enter_async_context(asking(await stack.enter_async_context(producer(settings, transport))))
        worker = await stack.enter_async_context(working(scene))
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
        yield url, engine
        await engine.dispose()


def _producer_env(broker_url: str, database_url: str) -> dict[str, str]:
    return {
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_LINK_SECRET": LINK_SECRET,
    }


def _consumer_env(broker_url: str, database_url: str, smtp: SmtpCatcher) -> dict[str, str]:
    return {
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_CONCURRENCY": "4",
        "TIDINGS_DRAIN_SECONDS": "5",
        "TIDINGS_MAIL_URL": smtp.url,
        "TIDINGS_MAIL_FROM": "Tidings <no-reply@example.org>",
        "TIDINGS_LINK_SECRET": LINK_SECRET,
        "TIDINGS_LINK_BASE_URL": "https://example.org",
    }


def settings_from(kind: type[S], env: Mapping[str, str]) -> S:
    """Return the settings that a process in this environment would read."""
    return kind(**{name.removeprefix("TIDINGS_").lower(): value for name, value in env.items()})


@asynccontextmanager
async def working(scene: Scene, **env: str) -> AsyncIterator[Worker]:
    """Run a worker with one task of the product and one of ours; stop it, as an orchestrator would, on leaving."""
    settings = settings_from(ConsumerSettings, {**scene.consumer_env, **env})
    transport = open_transport(settings.broker_url, name="consumer")
    async with open_tasks(settings, ("mail",)) as tasks:
        ours = [task for task in tasks if isinstance(task, SendVerificationMail)]
        worker = Worker(settings=settings, transport=transport, engine=scene.inbox, tasks=[*ours, Bookkeeping()])
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        try:
            yield worker
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
