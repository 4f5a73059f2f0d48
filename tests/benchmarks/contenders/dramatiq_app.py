"""Dramatiq on a quorum queue that stands already; it has no setting for either, so two methods are overridden."""

from typing import Any

from dramatiq import Worker
from dramatiq.brokers.rabbitmq import RabbitmqBroker

THREADS = 8
PREFETCH = 100


class QuorumBroker(RabbitmqBroker):
    """A broker whose work queue was declared by somebody else."""

    def _declare_queue(self, queue_name: str) -> Any:
        """Leave it as it is; declaring it with Dramatiq's own arguments would be refused."""
        return self.channel.queue_declare(queue=queue_name, passive=True)


def open_broker(url: str) -> QuorumBroker:
    """Return a broker that confirms, with none of the middleware that this work does not need."""
    return QuorumBroker(url=url, confirm_delivery=True, middleware=[])


def open_worker(broker: QuorumBroker) -> Worker:
    """Return a worker with Dramatiq's default of eight threads, in one process."""
    worker = Worker(broker, worker_threads=THREADS)
    worker.queue_prefetch = PREFETCH
    return worker
