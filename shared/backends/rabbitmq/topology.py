"""Does the broker hold what the code needs: asking and declaring over AMQP, one channel per question.

AMQP answers a difference by closing the channel, so each thing gets a channel of its own. It names only the first
argument that differs, and it cannot list bindings; declaring is idempotent, so `apply` makes them certain.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from shared.backends.rabbitmq.declarations import Declaration, exchanges, queues
from shared.backends.rabbitmq.session import LIBRARY_ERRORS, Session, describe, reraise_our_own_cancellation
from shared.errors import BrokerUnavailable, TopologyError
from shared.topology import DOMAIN_EVENTS, DOMAIN_TASKS, Exchange, Topology
from shared.transport import Difference

ASK_SECONDS = 15.0

INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for .*: received (?P<wanted>.+?) but current is (?P<found>.+)"
)
"""RabbitMQ's words in a 406 PRECONDITION_FAILED, the same from 3.10 to 4.x."""

PUBLIC = (DOMAIN_EVENTS, DOMAIN_TASKS)

Ask = Callable[[AbstractChannel], Awaitable[object]]


async def plan_topology(url: str, topology: Topology, *, name: str) -> Sequence[Difference]:
    """Return how the broker differs. Declares only what is known to exist, which changes nothing."""
    session = await Session.open(url, name=name, confirms=False)
    try:
        found = [await _compare_exchange(session, exchange) for exchange in exchanges(topology)]
        found += [await _compare_queue(session, queue) for queue in queues(topology)]
    finally:
        await session.close()
    return [difference for difference in found if difference is not None]


async def apply_topology(url: str, topology: Topology, *, name: str) -> None:
    """Declare everything that is missing. Raises TopologyError naming the first thing that stands in the way.

    The exchanges that producers publish to come last, right before the bindings: until then producers wait for them.
    """
    session = await Session.open(url, name=name, confirms=False)
    try:
        await _declare_exchanges(session, [each for each in exchanges(topology) if each not in PUBLIC])
        for queue in queues(topology):
            await _insist(session, f"queue {queue.name}", _declaring_queue(queue))
        await _declare_exchanges(session, PUBLIC)
        for queue in queues(topology):
            await _insist(session, f"bindings of {queue.name}", _binding(queue))
    finally:
        await session.close()


async def _declare_exchanges(session: Session, wanted: Sequence[Exchange]) -> None:
    for exchange in wanted:
        await _insist(session, f"exchange {exchange.name}", _declaring_exchange(exchange))


async def _compare_exchange(session: Session, exchange: Exchange) -> Difference | None:
    def passive(channel: AbstractChannel) -> Awaitable[object]:
        return channel.declare_exchange(exchange.name, passive=True)

    return await _compare(session, f"exchange {exchange.name}", passive, _declaring_exchange(exchange))


async def _compare_queue(session: Session, queue: Declaration) -> Difference | None:
    def passive(channel: AbstractChannel) -> Awaitable[object]:
        return channel.declare_queue(queue.name, passive=True)

    return await _compare(session, f"queue {queue.name}", passive, _declaring_queue(queue))


async def _compare(session: Session, thing: str, passive: Ask, declare: Ask) -> Difference | None:
    missing = await _ask(session, thing, passive)
    if isinstance(missing, ChannelNotFoundEntity):
        return Difference(thing, "existence", "present", "missing", "apply creates it")
    refusal = await _ask(session, thing, declare)
    return None if refusal is None else _difference(thing, describe(refusal))


def _difference(thing: str, refusal: str) -> Difference:
    match = INEQUIVALENT.search(refusal)
    if match is None:
        return Difference(thing, "declaration", "accepted", "refused", refusal)
    found = match["found"].strip()
    return Difference(thing, match["argument"], match["wanted"].strip(), found, "needs a new queue, or its deletion")


async def _insist(session: Session, thing: str, ask: Ask) -> None:
    refusal = await _ask(session, thing, ask)
    if refusal is not None:
        raise TopologyError(f"{thing}: {describe(refusal)}")


async def _ask(session: Session, thing: str, ask: Ask) -> Exception | None:
    """Ask on a fresh channel; return the broker's refusal, or None. Raises BrokerUnavailable on anything else."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            channel = await session.another_channel()
            await ask(channel)
            await channel.close()
    except (ChannelNotFoundEntity, ChannelPreconditionFailed, ChannelAccessRefused) as refusal:
        return refusal
    except LIBRARY_ERRORS as error:
        reraise_our_own_cancellation(error)
        raise BrokerUnavailable(f"{thing}: {describe(error)}") from error
    return None


def _declaring_exchange(exchange: Exchange) -> Ask:
    return lambda channel: channel.declare_exchange(exchange.name, exchange.kind, durable=True)


def _declaring_queue(queue: Declaration) -> Ask:
    return lambda channel: channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))


def _binding(queue: Declaration) -> Ask:
    async def bind(channel: AbstractChannel) -> None:
        declared = await channel.get_queue(queue.name, ensure=False)
        for exchange, key in queue.bindings:
            await declared.bind(exchange, key)

    return bind
