"""What an operator does with `dead-letters replay`, done by the demo: collect, then send home."""

from datetime import timedelta

from prometheus_client import CollectorRegistry

from consumer_service.database import open_engine
from consumer_service.dead_letters.audit import Order
from consumer_service.dead_letters.collecting import Collector
from consumer_service.dead_letters.looking import Filter, identify
from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.returning import claim, send_home
from consumer_service.registry import TASKS
from shared.transport import Transport


async def send_back(transport: Transport, database_url: str, *, queue: str, why: str) -> None:
    """Bring the dead letters of a queue into the table, and send them back to that queue alone."""
    engine, metrics = open_engine(database_url), DeadLetterMetrics(CollectorRegistry())
    collector = Collector(transport=transport, engine=engine, readers=Readers(TASKS), metrics=metrics)
    try:
        await collector.collect_standing(queue)
        ids = await identify(engine, Filter(queue=queue))
        claimed = await claim(engine, ids, Order("the demo", why), replayable=timedelta(days=1))
        async with transport.publisher() as publisher:
            await send_home(engine, publisher, claimed)
    finally:
        await engine.dispose()
