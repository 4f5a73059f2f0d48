"""What the producer counts, under names that dashboards and alerts may rely on. Labels take few values, never ids."""

from math import nan

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from producer_service.outbox import Backlog

CONTENT_TYPE = CONTENT_TYPE_LATEST


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
        self._pending = Gauge("tidings_outbox_pending", "Outbox rows not yet published", registry=registry)
        self._parked = Gauge("tidings_outbox_parked", "Outbox rows that wait for an operator", registry=registry)
        self._oldest = Gauge("tidings_outbox_oldest_seconds", "Age of the oldest pending outbox row", registry=registry)

    def show_backlog(self, backlog: Backlog | None) -> None:
        """Set the outbox gauges; to NaN when the database could not be asked, so that no old number looks fresh."""
        self._pending.set(nan if backlog is None else backlog.pending)
        self._parked.set(nan if backlog is None else backlog.parked)
        self._oldest.set(nan if backlog is None else backlog.oldest_seconds)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
