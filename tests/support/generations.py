"""The parts of a pair by themselves, for a scene in which workers come and go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.bookkeeping import Bookkeeping
from support.composition import settings_from
from support.pair import Scene

from consumer_service.settings import Settings as ConsumerSettings
from consumer_service.tasks.verification_mail import SendVerificationMail
from consumer_service.worker import Worker, open_tasks
from producer_service.app import relay_alone
from producer_service.settings import Settings as ProducerSettings
from shared.backends import open_transport


@asynccontextmanager
async def relaying(scene: Scene) -> AsyncIterator[None]:
    """Publish what the outbox holds, for as long as this context lasts."""
    settings = settings_from(ProducerSettings, scene.producer_env)
    transport = open_transport(settings.broker_url.get_secret_value(), name="relay")
    async with relay_alone(settings, transport):
        yield


@asynccontextmanager
async def working(scene: Scene, **env: str) -> AsyncIterator[Worker]:
    """Run one worker in this process, and stop it, as an orchestrator would, when the context is left."""
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
