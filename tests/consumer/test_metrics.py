from prometheus_client import CollectorRegistry, generate_latest

from consumer_service.metrics import ConsumerMetrics


def test_every_name_says_whose_it_is_and_no_label_is_unbounded():
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry)

    names = [metric.name for metric in registry.collect()]
    labels = {label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())}

    assert all(name.startswith("tidings_") for name in names)
    assert labels == {"queue", "type", "outcome", "reason", "task", "kind", "rung"}


def test_two_workers_in_one_process_do_not_share_their_counts():
    one, another = CollectorRegistry(), CollectorRegistry()
    metrics, _ = ConsumerMetrics(one), ConsumerMetrics(another)

    metrics.sessions.labels("consumer.mail").inc()

    assert b'tidings_sessions_opened_total{queue="consumer.mail"} 1.0' in generate_latest(one)
    assert b"consumer.mail" not in generate_latest(another)
