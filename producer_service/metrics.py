"""What the producer counts, under names that dashboards and alerts may rely on. Labels take few values, never ids."""

from collections.abc import Mapping
from math import nan
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from producer_service.high_water import HighWater
from producer_service.outbox import Backlog

CONTENT_TYPE = CONTENT_TYPE_LATEST

LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Relaying(Protocol):
    """What is shown of a relay."""

    @property
    def running(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def interrupted_by(self) -> str:
        """What keeps it from publishing; empty when nothing does."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to wait."""
        ...

    @property
    def sessions(self) -> int:
        """How many sessions with the broker it has had."""
        ...


class Metrics:
    """The producer's counters, in the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric, so that each is there, at zero, from the first scrape on."""
        self._registry = registry
        self.published = Counter(
            "tidings_publish", "Messages published, by what became of them", ["result"], registry=registry
        )
        self.requests = Counter(
            "tidings_http_requests", "HTTP requests answered", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "tidings_http_request_seconds", "Time to answer an HTTP request", ["route", "method"], registry=registry
        )
        self.refused = Counter(
            "tidings_outbox_refused", "Requests refused because the outbox was full", registry=registry
        )
        self.ingested = Counter(
            "tidings_ingested", "Events of other services that were accepted", ["client"], registry=registry
        )
        self.loop_lag = Histogram(
            "tidings_loop_lag_seconds", "How late the event loop is", buckets=LAGS, registry=registry
        )
        self._ticks = Counter(
            "tidings_schedule_ticks",
            "Ticks of schedules, by what became of them",
            ["schedule", "outcome"],
            registry=registry,
        )
        self._pending = self._gauge("tidings_outbox_pending", "Outbox rows not yet published")
        self._parked = self._gauge("tidings_outbox_parked", "Outbox rows that wait for an operator")
        self._delayed = self._gauge(
            "tidings_outbox_delayed", "Outbox rows that are held until their moment of delivery"
        )
        self._oldest = self._gauge("tidings_outbox_oldest_seconds", "Age of the oldest pending outbox row")

    def ticks_of(self, schedule: str) -> Mapping[str, Counter]:
        """Return the counters of one declared schedule: `fired` on time, fired `late`, and `missed`."""
        return {outcome: self._ticks.labels(schedule, outcome) for outcome in ("fired", "late", "missed")}

    def follow_high_water(self, high_water: HighWater) -> None:
        """Show, at every scrape, the mark and whether it keeps new work out."""
        mark = self._gauge("tidings_outbox_high_water", "Pending rows above which new work is refused; 0: no limit")
        mark.set(high_water.mark)
        full = self._gauge("tidings_outbox_full", "1 while new work is refused because too many rows are pending")
        full.set_function(lambda: high_water.full)

    def follow_relay(self, relay: Relaying) -> None:
        """Show, at every scrape, how the relay of this process is."""
        running = self._gauge("tidings_relay_running", "1 while the relay runs")
        running.set_function(lambda: relay.running)
        interrupted = self._gauge("tidings_relay_interrupted", "1 while broker or database keep it from publishing")
        interrupted.set_function(lambda: bool(relay.interrupted_by))
        blocked = self._gauge("tidings_broker_blocked", "1 while the broker asks publishers to wait (an alarm)")
        blocked.set_function(lambda: relay.blocked)
        sessions = self._gauge("tidings_publisher_sessions", "Sessions the relay has had; one is as it should be")
        sessions.set_function(lambda: relay.sessions)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry)

    def show_backlog(self, backlog: Backlog | None) -> None:
        """Set the outbox gauges; to NaN when the database could not be asked, so that no old number looks fresh."""
        self._pending.set(nan if backlog is None else backlog.pending)
        self._parked.set(nan if backlog is None else backlog.parked)
        self._delayed.set(nan if backlog is None else backlog.delayed)
        self._oldest.set(nan if backlog is None else backlog.oldest_seconds)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
