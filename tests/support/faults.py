"""Everything that can be done to the surroundings of a running pair, each as something that begins and ends.

A fault is an act and its undoing. Two of them can be composed when at most one takes the broker itself away, because
the others need the broker to be done and undone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from support.composition import rights_of
from support.operators import ADA
from support.pair import BOOKKEEPING, MAIL, Scene
from support.waiting import eventually

from producer_service.interventions import Interventions
from producer_service.models import Status
from producer_service.selection import Selection
from shared.backends import open_transport

Act = Callable[[Scene], Awaitable[None]]

ORDINARY_MEMORY, NO_MEMORY = "0.4", "0.00001"
ORDINARY_DISK, NO_DISK = "50MB", "9999GB"
ALARM_OVER_SECONDS = 60.0

ORDINARY_ACK_TIMEOUT, SHORT_ACK_TIMEOUT = (1_800_000, 60_000), (6_000, 1_000)
"""Milliseconds: RabbitMQ's `consumer_timeout`, and how often a channel looks for overdue acks."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and how it is put right again."""

    name: str
    inject: Act
    heal: Act
    takes_broker: bool = False
    """Whether the broker cannot be administered while it lasts."""


@asynccontextmanager
async def suffering(scene: Scene, fault: Fault) -> AsyncIterator[None]:
    """Let the fault last as long as this context does."""
    await fault.inject(scene)
    try:
        yield
    finally:
        await fault.heal(scene)


async def _nothing(_scene: Scene) -> None:
    """Some faults are over as soon as they have happened."""


async def _kill(scene: Scene) -> None:
    await asyncio.to_thread(scene.rabbit.kill)


async def _start(scene: Scene) -> None:
    await asyncio.to_thread(scene.rabbit.start)
    scene.retarget()


async def _freeze(scene: Scene) -> None:
    await asyncio.to_thread(scene.rabbit.freeze)


async def _thaw(scene: Scene) -> None:
    await asyncio.to_thread(scene.rabbit.thaw)


def _ctl(*arguments: str) -> Act:
    async def act(scene: Scene) -> None:
        await asyncio.to_thread(scene.rabbit.ctl, *arguments)

    return act


def _lift(*arguments: str) -> Act:
    """Lift an alarm: it is over when the broker says so, and not when it has been told."""

    async def act(scene: Scene) -> None:
        async def is_over() -> bool:
            await asyncio.to_thread(scene.rabbit.ctl, *arguments)
            return not await scene.admin.has_alarms()

        await eventually(is_over, within=ALARM_OVER_SECONDS)

    return act


def _ack_timeout(timeout: int, tick: int) -> Act:
    changes = f"consumer_timeout, {timeout}", f"channel_tick_interval, {tick}"
    return _ctl("eval", " ".join(f"ok = application:set_env(rabbit, {change})," for change in changes) + " ok.")


async def _refuse_newcomers(scene: Scene) -> None:
    await _ctl("suspend_listeners")(scene)
    await _reset(scene)


async def _close_connections(scene: Scene) -> None:
    for service in scene.services:
        await scene.admin.close_connections_of(scene.admin.user_of(service))


async def _reset(scene: Scene) -> None:
    for proxy in (scene.publishing, scene.consuming):
        proxy.reset()


async def _silence_publisher(scene: Scene) -> None:
    scene.publishing.blackhole()


async def _silence_consumer(scene: Scene) -> None:
    scene.consuming.blackhole()


async def _lose_confirms(scene: Scene) -> None:
    scene.publishing.blackhole("to_client")


async def _slow_down(scene: Scene) -> None:
    for proxy in (scene.publishing, scene.consuming):
        proxy.latency, proxy.bytes_per_second = 0.3, 30_000


async def _cut_frames(scene: Scene) -> None:
    for proxy in (scene.publishing, scene.consuming):
        proxy.cut_after = 1_500


async def _heal_ways(scene: Scene) -> None:
    for proxy in (scene.publishing, scene.consuming):
        proxy.heal()


async def _revoke(scene: Scene) -> None:
    for service in scene.services:
        await scene.admin.grant(scene.admin.user_of(service))
    await _close_connections(scene)


async def _grant(scene: Scene) -> None:
    for service in scene.services:
        await scene.admin.grant(scene.admin.user_of(service), **rights_of(service))
    await _close_connections(scene)


def _fill(queue: str) -> Act:
    async def act(scene: Scene) -> None:
        await scene.admin.set_policy("full", f"^{queue}$", max_length=1)

    return act


async def _empty(scene: Scene) -> None:
    await scene.admin.clear_policy("full")


def _delete_exchange(name: str) -> Act:
    async def act(scene: Scene) -> None:
        await scene.admin.delete_exchange(name)

    return act


@contextmanager
def _publishers_away(scene: Scene) -> Iterator[None]:
    scene.publishing.refusing = True
    scene.publishing.reset()
    try:
        yield
    finally:
        scene.publishing.refusing = False


async def _unbind(scene: Scene) -> None:
    with _publishers_away(scene):
        for queue in scene.books.queues:
            await scene.admin.unbind("domain.events", queue, "user.created")


async def apply_topology(scene: Scene) -> None:
    """Do what an operator does who has read what is missing: apply the topology, and release what was parked.

    Publishers are kept away meanwhile. What they publish between two bindings reaches the first queue alone.
    """
    with _publishers_away(scene):
        await open_transport(scene.admin.url, name="topology").apply(scene.books.topology)
    await Interventions(scene.outbox).release(Selection(status=Status.PARKED), ADA)


KILLED = Fault("broker killed", _kill, _start, takes_broker=True)
STOPPED = Fault("broker stopped", _ctl("stop_app"), _ctl("start_app"), takes_broker=True)
FROZEN = Fault("broker frozen", _freeze, _thaw, takes_broker=True)
SUSPENDED = Fault("listeners suspended", _refuse_newcomers, _ctl("resume_listeners"), takes_broker=True)
CLOSED = Fault("connections closed", _close_connections, _nothing)
RESET = Fault("connections reset", _reset, _nothing)
PUBLISHER_SILENT = Fault("publisher silent", _silence_publisher, _heal_ways)
CONSUMER_SILENT = Fault("consumer silent", _silence_consumer, _heal_ways)
CONFIRMS_LOST = Fault("confirms lost", _lose_confirms, _heal_ways)
SLOW = Fault("network slow", _slow_down, _heal_ways)
CUT = Fault("frames cut", _cut_frames, _heal_ways)
MEMORY_ALARM = Fault(
    "memory alarm",
    _ctl("set_vm_memory_high_watermark", NO_MEMORY),
    _lift("set_vm_memory_high_watermark", ORDINARY_MEMORY),
)
DISK_ALARM = Fault("disk alarm", _ctl("set_disk_free_limit", NO_DISK), _lift("set_disk_free_limit", ORDINARY_DISK))
REVOKED = Fault("rights revoked", _revoke, _grant)
QUEUE_FULL = Fault("queue full", _fill(MAIL), _empty)
DEAD_LETTERS_FULL = Fault("dead letters full", _fill(f"{BOOKKEEPING}.dead"), _empty)
UNBOUND = Fault("bindings removed", _unbind, apply_topology)
NO_EVENT_EXCHANGE = Fault("event exchange deleted", _delete_exchange("domain.events"), apply_topology)
NO_DEAD_EXCHANGE = Fault("dead letter exchange deleted", _delete_exchange("dead"), apply_topology)
NO_RUNG = Fault("rung deleted", _delete_exchange("retry.1s"), apply_topology)

IMPATIENT = Fault("ack timeout short", _ack_timeout(*SHORT_ACK_TIMEOUT), _ack_timeout(*ORDINARY_ACK_TIMEOUT))
"""For channels that are opened while it lasts."""

COMPOSABLE = (
    KILLED,
    STOPPED,
    FROZEN,
    SUSPENDED,
    CLOSED,
    RESET,
    PUBLISHER_SILENT,
    CONSUMER_SILENT,
    CONFIRMS_LOST,
    SLOW,
    CUT,
    MEMORY_ALARM,
    DISK_ALARM,
    REVOKED,
    QUEUE_FULL,
    DEAD_LETTERS_FULL,
    UNBOUND,
    NO_EVENT_EXCHANGE,
    NO_DEAD_EXCHANGE,
    NO_RUNG,
)
"""Those after which nothing may be missing. Purging a queue, say, is not among them: it is meant to lose."""
