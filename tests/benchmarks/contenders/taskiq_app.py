"""Taskiq on a quorum queue that stands already, as taskiq-aio-pika's page on queues configures it."""

from benchmarks.contenders.contract import Errand
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

from shared.topology import DOMAIN_EVENTS

PREFETCH = 100


def open_broker(errand: Errand) -> AioPikaBroker:
    """Return a broker that declares nothing."""
    return AioPikaBroker(
        errand.broker_url,
        qos=PREFETCH,
        exchange=Exchange(name=DOMAIN_EVENTS.name, declare=False),
        task_queues=[Queue(name=errand.queue, declare=False, routing_key="user.created")],
        dead_letter_queue=Queue(name=f"{errand.queue}.dead", declare=False),
    )
