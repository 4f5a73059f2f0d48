import math

from prometheus_client import CollectorRegistry

from producer_service.metrics import Metrics
from producer_service.outbox import Backlog


def test_the_names_that_dashboards_rely_on_are_there_from_the_first_scrape():
    exposition = Metrics(CollectorRegistry()).exposition().decode()

    names = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")}
    assert names >= {
        "tidings_publish_total",
        "tidings_http_requests_total",
        "tidings_http_request_seconds",
        "tidings_outbox_pending",
        "tidings_outbox_parked",
        "tidings_outbox_oldest_seconds",
    }


def test_the_backlog_is_shown():
    registry = CollectorRegistry()

    Metrics(registry).show_backlog(Backlog(pending=3, parked=2, oldest_seconds=1.5))

    shown = [registry.get_sample_value(f"tidings_outbox_{name}") for name in ("pending", "parked", "oldest_seconds")]
    assert shown == [3, 2, 1.5]


def test_an_unknown_backlog_is_no_number_rather_than_an_old_one():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.show_backlog(Backlog(pending=3, parked=2, oldest_seconds=1.5))

    metrics.show_backlog(None)

    assert math.isnan(registry.get_sample_value("tidings_outbox_pending"))


def test_two_services_in_one_process_do_not_share_their_counters():
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first).published.labels(result="confirmed").inc()
    Metrics(second)

    assert second.get_sample_value("tidings_publish_total", {"result": "confirmed"}) is None
