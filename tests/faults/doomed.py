"""A service that ends itself by SIGKILL at a named point of its way, the n-th time it passes there.

    TIDINGS_DOOM=P3:1 python -m faults.doomed api | relay | worker | collector

The points are those of `support/doom.py`. Services are composed as in production; workers serve all subscribers of a
fault test that their settings allow.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from support.doom import Doom, DoomedMailer, DoomedTransport, DoomedWebhook, Transactions
from support.subscribers import ALL, open_subscribers

from consumer_service.database import open_engine
from consumer_service.dead_letters.collector import CollectorProcess
from consumer_service.dead_letters.readers import Readers
from consumer_service.settings import Settings
from consumer_service.settings import load_settings as load_consumer_settings
from consumer_service.worker import Worker
from producer_service.app import producer, relay_alone
from producer_service.serving import serve, stopped_by_signals
from producer_service.settings import ApiSettings, load_standalone_settings
from producer_service.settings import Settings as RelaySettings
from shared.contracts import Lane
from shared.logs import configure_logs

VARIABLE = "TIDINGS_DOOM"


async def run_api(doom: Doom) -> None:
    """Run the API; whether with a relay, its settings say."""
    settings = load_standalone_settings(ApiSettings)
    transport = DoomedTransport(settings.broker_url.get_secret_value(), doom=doom)
    await _serve(lambda stopping: producer(settings, transport, stopping=stopping), settings.http_port)


async def run_relay(doom: Doom) -> None:
    """Run a relay on its own."""
    settings = load_standalone_settings(RelaySettings)
    transport = DoomedTransport(settings.broker_url.get_secret_value(), doom=doom)
    await _serve(lambda stopping: relay_alone(settings, transport, stopping=stopping), settings.relay_http_port)


async def _serve(root: Callable[[asyncio.Event], Any], port: int) -> None:
    stopping = asyncio.Event()
    with stopped_by_signals(stopping):
        async with root(stopping) as app:
            await serve(app, host="127.0.0.1", port=port, stopping=stopping, drain_seconds=0)


async def run_worker(doom: Doom) -> None:
    """Run a worker for all subscribers that its settings allow; it serves no health."""
    settings, stop = load_consumer_settings(Settings), asyncio.Event()
    async with open_subscribers(
        settings,
        DoomedMailer(settings.mail_url or "", doom=doom),
        doomed=lambda webhook, letter: DoomedWebhook(webhook, letter, doom),
    ) as tasks:
        engine = open_engine(settings.database_url, pool_size=settings.connections_for([Lane.NORMAL] * len(tasks)))
        transport = DoomedTransport(settings.broker_url, doom=doom)
        worker = Worker(settings=settings, transport=transport, engine=engine, tasks=tasks)
        with stopped_by_signals(stop):
            await worker.run(stop)
        await engine.dispose()


async def run_collector(doom: Doom) -> None:
    """Run a collector of all subscribers' dead letters; it serves no health."""
    settings, stop = load_consumer_settings(Settings), asyncio.Event()
    engine = open_engine(settings.database_url)
    transport = DoomedTransport(settings.broker_url, doom=doom)
    with stopped_by_signals(stop):
        await CollectorProcess(transport=transport, engine=engine, readers=Readers(ALL)).run(stop)
    await engine.dispose()


SERVICES: Mapping[str, Callable[[Doom], Awaitable[None]]] = {
    "api": run_api,
    "relay": run_relay,
    "worker": run_worker,
    "collector": run_collector,
}


async def main(service: str) -> None:
    point, _, passing = os.environ[VARIABLE].partition(":")
    doom = Doom(point, int(passing or 1))
    configure_logs(service)
    Transactions(doom).watch()
    await SERVICES[service](doom)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
