"""Who is measured, by name: the module that is run, how its messages are written, and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.contenders.message import Writer, as_celery, as_dramatiq, as_json, as_ours, as_taskiq

HERE = "benchmarks.contenders"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing the same work."""

    name: str
    module: str
    write: Writer = as_json
    options: Mapping[str, str] = field(default_factory=dict)
    keeps_inbox: str = ""
    """The table in which this contender remembers each message once; none where it has no inbox."""
    writes_rows: bool = False
    """Whether its task leaves one row in `effects` for each message."""
    relays: bool = False
    """Whether what it publishes stands in an outbox."""

    @property
    def is_ours(self) -> bool:
        """Whether it is the product."""
        return self.name.startswith("ours")


def ours(name: str, task: str, *, writes_rows: bool = False, **options: str) -> Contender:
    """Return our worker with one of the bench's tasks; `options` are knobs of the product."""
    options = {"task": task, "prefetch": "500", "concurrency": "16", **options}
    return Contender(name, f"{HERE}.ours_worker", as_ours, options, "inbox", writes_rows)


def _faststream(name: str, work: str, **options: str) -> Contender:
    inbox = "" if work == "nothing" else "peer_inbox"
    return Contender(name, f"{HERE}.faststream_worker", as_json, {"work": work, **options}, inbox, work == "row")


def _celery(name: str, pool: str, concurrency: int) -> Contender:
    options = {"pool": pool, "concurrency": str(concurrency)}
    return Contender(name, f"{HERE}.celery_worker", as_celery, options)


CONSUMERS = (
    ours("ours, inbox", "nothing"),
    ours("ours, inbox and a row", "row", writes_rows=True),
    ours("ours, inbox and a row, by a statement", "statement", writes_rows=True),
    ours("ours, inbox and a row, batch task", "rows", writes_rows=True),
    _faststream("FastStream", "nothing"),
    _faststream("FastStream, uvloop", "nothing", loop="uvloop"),
    _faststream("FastStream, inbox", "inbox"),
    _faststream("FastStream, inbox and a row", "row"),
    _faststream("FastStream, inbox and a row, by asyncpg", "row", driver="asyncpg"),
    Contender("aio-pika", f"{HERE}.aio_pika_worker"),
    _celery("Celery, solo", "solo", 1),
    _celery("Celery, prefork", "prefork", 2),
    Contender("Taskiq", f"{HERE}.taskiq_worker", as_taskiq),
    Contender("Dramatiq", f"{HERE}.dramatiq_worker", as_dramatiq),
)
"""What consumes messages that stand in a queue."""

PUBLISHERS = (
    Contender("ours, outbox", f"{HERE}.ours_relay", relays=True),
    Contender("ours, no outbox", f"{HERE}.ours_publisher"),
    Contender("FastStream", f"{HERE}.faststream_publisher"),
    Contender("FastStream, uvloop", f"{HERE}.faststream_publisher", options={"loop": "uvloop"}),
    Contender("aio-pika", f"{HERE}.aio_pika_publisher"),
    Contender("Celery", f"{HERE}.celery_publisher"),
    Contender("Taskiq", f"{HERE}.taskiq_publisher"),
    Contender("Dramatiq", f"{HERE}.dramatiq_publisher"),
)
"""What publishes with confirms; only the first reads its messages from an outbox."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One way from a sender to a receiver, each a process of its own."""

    name: str
    sender: str
    receiver: str
    options: Mapping[str, str] = field(default_factory=dict)


PAIRS = (
    Pair("ours, from commit to task", f"{HERE}.ours_commits", f"{HERE}.ours_worker", {"task": "clocking"}),
    Pair("aio-pika, from publish to handler", f"{HERE}.aio_pika_publisher", f"{HERE}.aio_pika_worker"),
    Pair(
        "aio-pika, uvloop, from publish to handler",
        f"{HERE}.aio_pika_publisher",
        f"{HERE}.aio_pika_worker",
        {"loop": "uvloop"},
    ),
    Pair(
        "FastStream, from publish to handler",
        f"{HERE}.faststream_publisher",
        f"{HERE}.faststream_worker",
        {"work": "nothing"},
    ),
)
"""What takes a message from one process to another; only ours goes through an outbox and an inbox."""


def _api(name: str, module: str, rate: int = 100, **options: str) -> Contender:
    return Contender(name, f"{HERE}.{module}", options={"rate": str(rate), **options})


APIS = (
    _api("ours, outbox", "ours_api", hashing="cheap"),
    _api("ours, a verification code, outbox", "ours_api", hashing="cheap", asks="codes"),
    _api("ours, outbox, password hashed, 5/s", "ours_api", rate=5, hashing="full"),
    _api("FastAPI, BackgroundTasks", "plain_api", way="background"),
    _api("FastAPI, publish in the request", "plain_api", way="publish"),
    _api("FastAPI, mail in the request", "plain_api", way="inline"),
)
"""What takes a registration, or where it says so the wish for a code, over HTTP, at so many requests a second."""

INGESTIONS = (
    _api("ours, an event a request", "ours_api"),
    Contender("ours, batches of 500", f"{HERE}.ours_api", options={"batch": "500", "relay": "elsewhere"}),
)
"""What takes events of other services over HTTP: at a pace with a relay beside, or as many as it can."""
