"""Keeps one consumer fed: session after session, with a growing pause between those that fail."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from random import uniform
from time import monotonic
from typing import Any

import structlog

from consumer_service.consumer import Consumer
from consumer_service.metrics import ConsumerMetrics
from shared.errors import SessionLost, TidingsError, TopologyError, TransportError
from shared.transport import Subscription, Transport

log: Any = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a supervisor is, in seconds."""

    shortest_pause: float = 0.5
    longest_pause: float = 30.0
    """Full jitter between zero and a ceiling that doubles, so that a fleet does not come back as one."""
    watch: float = 15.0
    silent: float = 60.0
    """No delivery for this long, room for more, and messages waiting: the broker has forgotten us, and says nothing."""


class Supervisor:
    """Opens a session, feeds the consumer from it until it ends, and opens the next one."""

    def __init__(
        self,
        *,
        transport: Transport,
        consumer: Consumer,
        prefetch: int,
        metrics: ConsumerMetrics,
        pace: Pace | None = None,
    ) -> None:
        """Remember whom to feed, and from where."""
        self.queue = consumer.queue
        self._transport = transport
        self._consumer = consumer
        self._prefetch = prefetch
        self._metrics = metrics
        self._subscription: Subscription | None = None
        self._pace = pace or Pace()
        self._ceiling = self._pace.shortest_pause
        self._drained = False
        self.trouble = "not started"
        """Why we are not consuming; empty while we are."""

    async def run(self, stop: asyncio.Event, *, grace_seconds: float) -> None:
        """Consume until `stop` is set, then drain. Whatever the broker does, this neither ends nor raises before."""
        while not stop.is_set():
            try:
                await self._one_session(stop, grace_seconds)
            except (TransportError, TopologyError) as error:
                self._note_trouble(error)
                await self._pause(stop)
        if not self._drained:
            await self._drain(None, grace_seconds)

    async def _one_session(self, stop: asyncio.Event, grace_seconds: float) -> None:
        async with self._transport.subscribe(self.queue, prefetch=self._prefetch) as subscription:
            self._note_consuming(subscription)
            began = monotonic()
            try:
                await self._feed_until(stop, subscription)
                await self._drain(subscription, grace_seconds)
            finally:
                self._subscription = None
                self._metrics.consuming.labels(self.queue).set(0)
                if monotonic() - began > self._pace.longest_pause:
                    self._ceiling = self._pace.shortest_pause

    async def _feed_until(self, stop: asyncio.Event, subscription: Subscription) -> None:
        """Return when asked to stop; raise SessionLost when the session ends, or when it should be ended."""
        calls = (stop.wait(), self._consumer.feed(subscription), self._watch(subscription))
        running = [asyncio.ensure_future(call) for call in calls]
        try:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                call.result()
        finally:
            for call in running:
                call.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _watch(self, subscription: Subscription) -> None:
        """Ask the broker now and then whether messages are waiting that it does not bring."""
        while True:
            await asyncio.sleep(self._pace.watch)
            if not self._is_silent():
                continue
            state = await subscription.inspect()
            if state.messages and self._is_silent():
                self._metrics.stalled.labels(self.queue).inc()
                raise SessionLost(f"{self.queue}: {state.messages} messages are waiting, and none is delivered")

    def _is_silent(self) -> bool:
        return self._consumer.has_room(self._prefetch) and self._consumer.silent_seconds >= self._pace.silent

    async def _drain(self, subscription: Subscription | None, grace_seconds: float) -> None:
        self._drained = True
        self._subscription = None
        self.trouble = "draining"
        settled = await self._consumer.drain(subscription, grace_seconds=grace_seconds)
        self.trouble = "stopped"
        log.info("consumer.drained" if settled else "consumer.drain_cut_short", queue=self.queue)

    def _note_consuming(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self.trouble = ""
        self._metrics.consuming.labels(self.queue).set(1)
        self._metrics.sessions.labels(self.queue).inc()
        log.info("consumer.consuming", queue=self.queue, prefetch=self._prefetch)

    def _note_trouble(self, error: TidingsError) -> None:
        self._metrics.sessions_failed.labels(self.queue, type(error).__name__).inc()
        if str(error) != self.trouble:
            log.warning("consumer.not_consuming", queue=self.queue, error=str(error), kind=type(error).__name__)
        self.trouble = str(error)

    async def _pause(self, stop: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(uniform(0, self._ceiling)):  # noqa: S311 - spreads load, keeps no secret
                await stop.wait()
        self._ceiling = min(self._ceiling * 2, self._pace.longest_pause)

    async def check(self) -> str:
        """Ask the broker whether it sees us consuming. Raises SessionLost, saying why, when it does not."""
        subscription = self._subscription
        if subscription is None or subscription.ended:
            raise SessionLost(self.trouble or "the session has ended")
        state = await subscription.inspect()
        if not state.consumers:
            raise SessionLost("the broker sees no consumer on this queue")
        return f"{state.consumers} consumers, {state.messages} messages waiting"
