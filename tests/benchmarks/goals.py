"""What we hold ourselves to: ratios of numbers from one run, on one machine, and a few plain limits. Data only."""

from dataclasses import dataclass

FASTSTREAM = ("FastStream", "FastStream, uvloop")
AIO_PIKA = ("aio-pika, from publish to handler", "aio-pika, uvloop, from publish to handler")
CELERY = ("Celery, solo", "Celery, prefork")


@dataclass(frozen=True, slots=True)
class Goal:
    """One number of ours, beside the best of some peers'. Without peers the number itself is what is limited."""

    what: str
    study: str
    ours: str
    peers: tuple[str, ...]
    number: str
    bar: float
    reach: float
    less_is_better: bool = False
    unit: str = ""


GOALS = (
    Goal("Relay, from outbox to confirm / FastStream publishing without an outbox",
         "relay", "ours, outbox", FASTSTREAM, "per_second", 2.0, 3.0),
    Goal("Consume with inbox / FastStream with an inbox transaction a message",
         "consume", "ours, inbox", ("FastStream, inbox",), "per_second", 6.0, 9.0),
    Goal("Consume with inbox / FastStream without one",
         "consume", "ours, inbox", FASTSTREAM, "per_second", 1.5, 2.2),
    Goal("Consume with inbox / Celery with late acks, its better pool, without one",
         "consume", "ours, inbox", CELERY, "per_second", 2.0, 2.7),
    Goal("A row written with the inbox / FastStream, a transaction a message",
         "consume", "ours, inbox and a row", ("FastStream, inbox and a row",), "per_second", 3.0, 6.0),
    Goal("Client CPU, consuming with inbox / FastStream without one",
         "consume", "ours, inbox", FASTSTREAM, "client_cpu", 0.8, 0.45, less_is_better=True),
    Goal("p99 at 200/s, from commit to task / aio-pika from publish to handler",
         "latency", "ours, from commit to task", AIO_PIKA, "p99_ms", 1.5, 1.0,
         less_is_better=True),
    Goal("Two workers / one, tasks that wait 20 ms",
         "scale-out", "2 workers", ("1 worker",), "per_second", 1.9, 2.0),
    Goal("Growth of a worker's memory while it consumes",
         "memory", "ours, prefetch 500", (), "growth_megabytes", 5.0, 5.0, less_is_better=True, unit=" MB"),
    Goal("p99 of an accepted POST at 100/s",
         "http", "ours, outbox", (), "p99_ms", 16.0, 16.0, less_is_better=True, unit=" ms"),
    Goal("p99 of an ingested event at 100/s",
         "ingestion", "ours, an event a request", (), "p99_ms", 16.0, 16.0, less_is_better=True, unit=" ms"),
    Goal("Events ingested a second in batches of 500",
         "ingestion", "ours, batches of 500", (), "per_second", 5_000.0, 5_000.0, unit="/s"),
    Goal("p99 of an accepted POST for a verification code at 100/s",
         "http", "ours, a verification code, outbox", (), "p99_ms", 16.0, 16.0, less_is_better=True, unit=" ms"),
)  # fmt: skip
"""In the order in which they are shown."""
