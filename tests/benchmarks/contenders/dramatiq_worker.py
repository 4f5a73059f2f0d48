"""Dramatiq's worker: one process, eight threads."""

import signal
import threading
from typing import Any

import dramatiq
from benchmarks.contenders.contract import Errand, Tally, read_errand
from benchmarks.contenders.dramatiq_app import open_broker, open_worker
from benchmarks.contenders.message import TASK, PeerEvent


def main(errand: Errand) -> None:
    """Consume until SIGTERM."""
    broker, tally, turn = open_broker(errand.broker_url), Tally(errand), threading.Lock()

    @dramatiq.actor(actor_name=TASK, queue_name=errand.queue, broker=broker)
    def work(event: Any) -> None:
        with turn:
            tally.begin()
        PeerEvent.model_validate(event)
        with turn:
            tally.end()

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = open_worker(broker)
    worker.start()
    stop.wait()
    worker.stop()
    broker.close()


if __name__ == "__main__":
    main(read_errand())
