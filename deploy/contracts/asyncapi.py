"""Both services as one AsyncAPI 3.1 document: where messages are published, who takes them, and what they look like.

A channel is either a routing key on one of the two exchanges, to publish to or to bind a queue of one's own to, or a
queue that one service consumes. The payload is the whole CloudEvent, because that is what lies on the broker.
"""

import inspect
from collections.abc import Sequence
from typing import Any

from deploy.contracts.messages import components
from deploy.contracts.schemas import kind_of
from deploy.contracts.subscriptions import Consumers, Subscription
from shared.contracts import Contract, Lane
from shared.envelope import STRUCTURED
from shared.topology import Queue, exchange_for, matches, routing_key

BINDING = "0.3.0"
"""The version of the AMQP binding, in AsyncAPI's own count."""

Node = dict[str, Any]

DESCRIPTION = f"""\
What two services say to each other over RabbitMQ, and to whoever else listens. Messages are CloudEvents 1.0 in
structured JSON (`{STRUCTURED}`); readers also take binary mode, with the attributes in `ce-` headers. AMQP's
properties repeat some of them: message-id is `id`, type is `type`, app-id is `source`, correlation-id is
`correlationid`, timestamp is `time`. Delivery is at least once: two messages with one `id` are the same message.

To listen, bind a queue of your own to the routing keys that you need. A channel's address is the key in the lane of its
type, `x-lane`; a sender may choose the other, so bind both: `<type>` is normal, `bulk.<type>` is bulk. Readers ignore
fields that they do not know; a field is added with a default, and anything else is a new type beside the old one, as in
`user.created.v2`.
"""


def asyncapi(contracts: Sequence[type[Contract]], consumers: Consumers, *, version: str) -> Node:
    """Return the document. The same for the same code, order included."""
    return {
        "asyncapi": "3.1.0",
        "id": "urn:tidings",
        "info": {
            "title": "Tidings",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
            "tags": [{"name": "producer"}, {"name": "consumer"}, {"name": "any service"}],
        },
        "defaultContentType": STRUCTURED,
        "servers": {"rabbitmq": _server("amqp", "5672"), "rabbitmq-tls": _server("amqps", "5671")},
        "channels": {each.wire_type: _routing_key(each) for each in contracts}
        | {queue.name: _queue(queue, contracts) for queue in consumers.queues},
        "operations": {f"publish.{each.wire_type}": _send(each) for each in contracts}
        | {f"{each.queue}.{each.task}": _receive(each, contracts, consumers) for each in consumers.subscriptions},
        "components": components(contracts)
        | {"securitySchemes": {"user": {"type": "userPassword", "description": "A user of the broker."}}},
    }


def _server(protocol: str, port: str) -> Node:
    return {
        "host": "{host}:{port}",
        "pathname": "/{vhost}",
        "protocol": protocol,
        "protocolVersion": "0-9-1",
        "description": "RabbitMQ, 3.10 or later.",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "Where the broker is."},
            "port": {"default": port},
            "vhost": {"default": "tidings", "description": "The virtual host, percent-encoded."},
        },
        "security": [{"$ref": "#/components/securitySchemes/user"}],
    }


def _routing_key(contract: type[Contract]) -> Node:
    exchange, key = exchange_for(contract), routing_key(contract.wire_type, contract.lane)
    return {
        "address": key,
        "summary": f"The routing key {key} on the exchange {exchange.name}.",
        "messages": {contract.wire_type: _message(contract.wire_type)},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange.name, "type": exchange.kind, "durable": True, "autoDelete": False},
                "bindingVersion": BINDING,
            }
        },
    }


def _queue(queue: Queue, contracts: Sequence[type[Contract]]) -> Node:
    reaching = [each.wire_type for each in contracts if _reaches(each, queue)]
    return {
        "address": queue.name,
        "summary": f"A quorum queue of the consumer service; its dead letters are in {queue.dead}.",
        "messages": {wire_type: _message(wire_type) for wire_type in reaching},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {"name": queue.name, "durable": True, "exclusive": False, "autoDelete": False},
                "bindingVersion": BINDING,
            }
        },
        "x-bound-to": [{"exchange": binding.exchange.name, "key": binding.key} for binding in queue.bindings],
        "x-dead-letters": queue.dead,
    }


def _reaches(contract: type[Contract], queue: Queue) -> bool:
    exchange = exchange_for(contract)
    keys = [routing_key(contract.wire_type, lane) for lane in Lane]
    return any(each.exchange == exchange and matches(each.key, key) for each in queue.bindings for key in keys)


def _send(contract: type[Contract]) -> Node:
    is_event = kind_of(contract) == "event"
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{contract.wire_type}"},
        "title": f"Announce {contract.wire_type}" if is_event else f"Ask for {contract.wire_type}",
        "summary": (inspect.getdoc(contract) or "").partition("\n")[0],
        "tags": [{"name": "producer" if is_event else "any service"}],
        "messages": [{"$ref": f"#/channels/{contract.wire_type}/messages/{contract.wire_type}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "timestamp": True, "bindingVersion": BINDING}},
    }


def _receive(subscription: Subscription, contracts: Sequence[type[Contract]], consumers: Consumers) -> Node:
    older = consumers.upcasting(subscription.queue).older(subscription.wire_type)
    types = [each.wire_type for each in contracts if each.wire_type in {subscription.wire_type, *older}]
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{subscription.queue}"},
        "title": subscription.task,
        "summary": subscription.meaning,
        "tags": [{"name": "consumer"}],
        "messages": [{"$ref": f"#/channels/{subscription.queue}/messages/{wire_type}"} for wire_type in types],
        "bindings": {"amqp": {"ack": True, "bindingVersion": BINDING}},
        "x-guarantee": subscription.guarantee,
        "x-timeout-seconds": subscription.timeout_seconds,
        "x-attempts": subscription.attempts,
    }


def _message(wire_type: str) -> Node:
    return {"$ref": f"#/components/messages/{wire_type}"}
