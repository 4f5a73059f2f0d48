import math

from prometheus_client import CollectorRegistry

from producer_service.high_water import HighWater
from producer_service.metrics import Metrics
from producer_service.outbox import Backlog


class StandingRelay:
    """A relay that is as it is told."""

    running = True
    interrupted_by = ""
    blocked = False
    sessions = 1


def test_the_names_that_dashboards_rely_on_are_there_from_the_first_scrape():
    exposition = Metrics(CollectorRegistry()).exposition().decode()

    names = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")}
    assert names >= {
        "tidings_publish_total",
        "tidings_http_requests_total",
        "tidings_http_request_seconds",
        "tidings_outbox_pending",
        "tidings_outbox_parked",
        "tidings_outbox_delayed",
        "tidings_outbox_oldest_seconds",
        "tidings_outbox_refused_total",
        "tidings_loop_lag_seconds",
    }


def test_the_backlog_is_shown():
    registry = CollectorRegistry()

    Metrics(registry).show_backlog(Backlog(pending=3, parked=2, oldest_seconds=1.5, delayed=4))

    names = ("pending", "parked", "oldest_seconds", "delayed")
    assert [registry.get_sample_value(f"tidings_outbox_{name}") for name in names] == [3, 2, 1.5, 4]


def test_an_unknown_backlog_is_no_number_rather_than_an_old_one():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.show_backlog(Backlog(pending=3, parked=2, oldest_seconds=1.5))

    metrics.show_backlog(None)

    assert math.isnan(registry.get_sample_value("tidings_outbox_pending"))


def test_the_high_water_mark_is_followed():
    registry = CollectorRegistry()
    high_water = HighWater(10, refused=list)
    Metrics(registry).follow_high_water(high_water)

    before = registry.get_sample_value("tidings_outbox_full")
    high_water.observe(11)

    assert (before, registry.get_sample_value("tidings_outbox_full")) == (0, 1)
    assert registry.get_sample_value("tidings_outbox_high_water") == 10


def test_the_relay_is_followed():
    registry, relay = CollectorRegistry(), StandingRelay()
    Metrics(registry).follow_relay(relay)
    states = ("relay_running", "relay_interrupted", "broker_blocked", "publisher_sessions")
    names = [f"tidings_{state}" for state in states]

    before = [registry.get_sample_value(name) for name in names]
    relay.interrupted_by, relay.blocked, relay.sessions = "the broker has asked publishers to wait", True, 2

    assert (before, [registry.get_sample_value(name) for name in names]) == ([1, 0, 0, 1], [1, 1, 1, 2])


def test_no_label_is_unbounded():
    metrics = Metrics(CollectorRegistry())

    labels = {label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())}

    # A client has a key, which an operator made.
    assert labels == {"result", "route", "method", "status", "client", "schedule", "outcome"}


def test_two_services_in_one_process_do_not_share_their_counters():
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first).published.labels(result="confirmed").inc()
    Metrics(second)

    assert second.get_sample_value("tidings_publish_total", {"result": "confirmed"}) is None
