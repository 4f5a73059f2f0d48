"""Celery's worker with late acks, on the pool it is told: solo, prefork or threads."""

import multiprocessing
from typing import Any

from benchmarks.contenders.contract import Errand, mark, read_errand
from benchmarks.contenders.message import TASK, PeerEvent
from celery import Celery
from kombu import Queue

PREFETCH = 100


def configured(errand: Errand) -> Celery:
    """Return an app that consumes a queue which stands already, as Celery's pages on optimizing advise."""
    processes = int(errand.options["concurrency"])
    app = Celery("bench", broker=errand.broker_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        task_queues=[Queue(errand.queue, no_declare=True, queue_arguments={"x-queue-type": "quorum"})],
        task_default_queue=errand.queue,
        worker_prefetch_multiplier=PREFETCH // processes,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
    )
    return app


def add_task(app: Celery, errand: Errand) -> None:
    """Register the task. Its counters are shared with the processes that the prefork pool forks."""
    begun, ended = multiprocessing.Value("b", 0), multiprocessing.Value("q", 0)

    @app.task(name=TASK)
    def work(event: Any) -> None:
        if not begun.value:
            with begun.get_lock():
                if not begun.value:
                    begun.value = 1
                    mark("first")
        PeerEvent.model_validate(event)
        with ended.get_lock():
            ended.value += 1
            if ended.value == errand.count:
                mark("last")


def main(errand: Errand) -> None:
    """Consume until SIGTERM."""
    app = configured(errand)
    add_task(app, errand)
    pool = (f"--pool={errand.options['pool']}", f"--concurrency={errand.options['concurrency']}")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING")
    app.worker_main(["worker", *pool, *quiet])


if __name__ == "__main__":
    main(read_errand())
