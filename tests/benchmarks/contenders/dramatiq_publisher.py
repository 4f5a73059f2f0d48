"""Dramatiq sending messages with confirms, which it has no way to keep several of in the air."""

import json

from benchmarks.contenders.contract import Errand, read_errand, stay
from benchmarks.contenders.dramatiq_app import open_broker
from benchmarks.contenders.in_flight import publish_in_turn
from benchmarks.contenders.message import TASK, as_json
from dramatiq import Message as DramatiqMessage

from shared.transport import Message


def main(errand: Errand) -> None:
    """Send what is asked for, over one connection that stays open."""
    broker = open_broker(errand.broker_url)
    broker.declare_queue(errand.queue, ensure=True)

    def publish(message: Message) -> None:
        event = json.loads(message.body)
        broker.enqueue(DramatiqMessage(queue_name=errand.queue, actor_name=TASK, args=(event,), kwargs={}, options={}))

    publish_in_turn(errand.count, as_json, publish)
    broker.close()


if __name__ == "__main__":
    main(read_errand())
    stay()
