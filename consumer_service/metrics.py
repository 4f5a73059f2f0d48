"""What operators watch: counters and gauges with bounded labels, in a registry that the worker's root owns."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LAGS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 43200)


class ConsumerMetrics:
    """Every metric of the consumer service. Labels are queues, tasks, known types, outcomes and reasons; never ids."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        self.deliveries = Counter(
            "tidings_deliveries",
            "Deliveries settled, by how.",
            ["queue", "type", "outcome"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "tidings_dead_lettered", "Deliveries dead-lettered, by why.", ["queue", "reason"], registry=registry
        )
        self.retries = Counter(
            "tidings_retries",
            "Attempts that failed and will be made again, by the rung on which they wait.",
            ["queue", "task", "rung"],
            registry=registry,
        )
        self.task_seconds = Histogram(
            "tidings_task_seconds", "How long tasks ran.", ["task"], buckets=SECONDS, registry=registry
        )
        self.in_flight = Gauge(
            "tidings_deliveries_in_flight", "Deliveries held and not yet settled.", ["queue"], registry=registry
        )
        self.lag = Histogram(
            "tidings_delivery_lag_seconds",
            "Age of an event when its task starts.",
            ["queue"],
            buckets=LAGS,
            registry=registry,
        )
        self.settlements_lost = Counter(
            "tidings_settlements_lost",
            "Settlements dropped because their session had died.",
            ["queue"],
            registry=registry,
        )
        self.sessions = Counter("tidings_sessions_opened", "Sessions opened on a queue.", ["queue"], registry=registry)
        self.sessions_failed = Counter(
            "tidings_sessions_failed",
            "Sessions that ended, or could not be opened, by the kind of error.",
            ["queue", "kind"],
            registry=registry,
        )
        self.stalled = Counter(
            "tidings_sessions_stalled",
            "Sessions thrown away because messages were waiting and none was delivered.",
            ["queue"],
            registry=registry,
        )
        self.consuming = Gauge(
            "tidings_consuming", "1 while the broker delivers from this queue to us.", ["queue"], registry=registry
        )
        self.moves_failed = Counter(
            "tidings_moves_unconfirmed",
            "Retries and dead letters whose copy was not confirmed; the original was kept.",
            ["queue"],
            registry=registry,
        )
        # Finding a child by its labels costs more than counting with it, and these are found once a delivery.
        self.delivery = cache(self.deliveries.labels)
        self.task = cache(self.task_seconds.labels)
        self.inbox_rows = Gauge(
            "tidings_inbox_rows", "Rows of the inbox, about, as of the last hourly sweep.", registry=registry
        )
        self.loop_lag = Histogram(
            "tidings_loop_lag_seconds", "How late the event loop is.", buckets=SECONDS, registry=registry
        )
