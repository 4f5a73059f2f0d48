"""Celery sending tasks with publisher confirms, which it has no way to keep several of in the air."""

import json

from benchmarks.contenders.contract import Errand, read_errand, stay
from benchmarks.contenders.in_flight import publish_in_turn
from benchmarks.contenders.message import TASK, as_json
from celery import Celery
from kombu import Queue

from shared.transport import Message


def main(errand: Errand) -> None:
    """Send what is asked for, over one connection that stays open."""
    app = Celery("bench", broker=errand.broker_url, set_as_current=False)
    queue = Queue(errand.queue, no_declare=True, queue_arguments={"x-queue-type": "quorum"})
    app.conf.update(task_ignore_result=True, broker_transport_options={"confirm_publish": True}, task_queues=[queue])
    with app.connection_for_write() as connection, app.amqp.Producer(connection, auto_declare=False) as producer:

        def publish(message: Message) -> None:
            app.send_task(TASK, args=[json.loads(message.body)], queue=queue, producer=producer, ignore_result=True)

        publish_in_turn(errand.count, as_json, publish)


if __name__ == "__main__":
    main(read_errand())
    stay()
