"""Asking and declaring over AMQP, one channel per question, because a broker answers a difference by closing it.

It names only the first argument that differs, and it shows neither bindings nor policies.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from shared.backends.rabbitmq.declarations import Declaration
from shared.backends.rabbitmq.differences import NEW_EXCHANGE, differing_argument, missing, shown
from shared.backends.rabbitmq.session import LIBRARY_ERRORS, Session, describe, reraise_our_own_cancellation
from shared.errors import BrokerUnavailable, TopologyError
from shared.topology import Difference, Exchange, Remedy

ASK_SECONDS = 15.0

INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for .*: received (?P<wanted>.+?) but current is (?P<found>.+)"
)
"""RabbitMQ's words in a 406 PRECONDITION_FAILED, the same from 3.10 to 4.x."""

NONE = "none"
"""RabbitMQ's word for an argument that is not there; a value stands in quotation marks."""

Ask = Callable[[AbstractChannel], Awaitable[object]]


async def compare_exchange(session: Session, exchange: Exchange) -> Difference | None:
    """Return the first difference of an exchange that the broker names. Declares it only when it is there already."""
    thing = f"exchange {exchange.name}"
    if await _is_missing(session, thing, lambda channel: channel.declare_exchange(exchange.name, passive=True)):
        return missing(thing)
    refusal = await _ask(session, thing, _declaring_exchange(exchange))
    if refusal is None:
        return None
    argument, wanted, found = _compared(thing, refusal)
    return Difference(thing, argument, shown(wanted), shown(found), Remedy.REPLACEMENT, NEW_EXCHANGE)


async def compare_queue(session: Session, queue: Declaration) -> Difference | None:
    """Return the first difference of a queue that the broker names. Declares it only when it is there already."""
    thing = f"queue {queue.name}"
    if await _is_missing(session, thing, lambda channel: channel.declare_queue(queue.name, passive=True)):
        return missing(thing)
    refusal = await _ask(session, thing, _declaring_queue(queue))
    if refusal is None:
        return None
    argument, wanted, found = _compared(thing, refusal)
    return differing_argument(thing, argument.removeprefix("x-"), wanted, found)


async def declare_exchange(session: Session, exchange: Exchange) -> None:
    """Declare an exchange. Raises TopologyError when the broker refuses."""
    await _insist(session, f"exchange {exchange.name}", _declaring_exchange(exchange))


async def declare_queue(session: Session, queue: Declaration) -> None:
    """Declare a queue. Raises TopologyError when the broker refuses."""
    await _insist(session, f"queue {queue.name}", _declaring_queue(queue))


async def bind(session: Session, queue: Declaration) -> None:
    """Bind a queue to all that it needs; what is bound already stays as it is. Raises TopologyError when refused."""
    await _insist(session, f"bindings of {queue.name}", _binding(queue))


async def _is_missing(session: Session, thing: str, passive: Ask) -> bool:
    """Tell. A passive declaration that is refused for another reason is left to the real one to explain."""
    return isinstance(await _ask(session, thing, passive), ChannelNotFoundEntity)


def _compared(thing: str, refusal: Exception) -> tuple[str, object, object]:
    """Return argument, wanted and found. Raises TopologyError for a refusal that is no comparison."""
    match = INEQUIVALENT.search(describe(refusal))
    if match is None:
        raise TopologyError(f"{thing}: {describe(refusal)}")
    return match["argument"].replace("_", "-"), _value(match["wanted"]), _value(match["found"])


def _value(said: str) -> str | int | None:
    """Return what a broker writes as `none`, `the value '5' of type 'signedint'`, `'topic'` or `true`."""
    quoted = re.search(r"'([^']*)'", said)
    if quoted is None:
        return None if said.strip() == NONE else said.strip()
    return int(quoted[1]) if re.fullmatch(r"-?\d+", quoted[1]) else quoted[1]


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
    async def bind_all(channel: AbstractChannel) -> None:
        declared = await channel.get_queue(queue.name, ensure=False)
        for exchange, key in queue.bindings:
            await declared.bind(exchange, key)

    return bind_all
