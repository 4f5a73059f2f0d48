"""Publishing a claim: rows of different aggregates side by side, rows of one aggregate one after another."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import random
from typing import NamedTuple

from producer_service.claims import ClaimedRow
from producer_service.verdicts import Verdict, decide
from shared.contracts import Lane
from shared.envelope import STRUCTURED
from shared.errors import BrokerUnavailable
from shared.topology import routing_key
from shared.transport import LARGEST_BODY, Fate, Message, Outgoing, Publisher, Receipt

WAVES_SECONDS = 5.0
"""No wave begins later than this. Together with one session to open (10 s) and one last wave to be confirmed (10 s)
it stays below the 30 s after which the database server takes a claim's locks away."""

Line = deque[ClaimedRow]


class Tried(NamedTuple):
    """One row that was published, what the broker said, and what follows from it."""

    row: ClaimedRow
    receipt: Receipt
    verdict: Verdict


@dataclass(slots=True)
class Outcome:
    """What is known after the last wave. `unavailable` says why there was no broker, if there was none."""

    tried: list[Tried] = field(default_factory=list)
    unavailable: str | None = None


async def publish_in_waves(
    publisher: Publisher, rows: Sequence[ClaimedRow], *, seconds: float = WAVES_SECONDS
) -> Outcome:
    """Publish rows, given in the order of recording, so that a failed row stops its own aggregate and no other.

    The first row of each aggregate goes in the first wave; the second only after the first was confirmed, and so
    on. Rows that were not tried in the end were not sent, for want of time or of a broker.
    """
    loop, outcome = asyncio.get_running_loop(), Outcome()
    lines, deadline = _by_aggregate(rows), loop.time() + seconds
    while lines and loop.time() < deadline:
        wave = [line.popleft() for line in lines]
        try:
            receipts = await _publish(publisher, wave)
        except BrokerUnavailable as error:
            outcome.unavailable = str(error)
            break
        outcome.tried += map(_try, wave, receipts)
        lines = [line for line, receipt in zip(lines, receipts, strict=True) if line and _confirmed(receipt)]
    return outcome


async def _publish(publisher: Publisher, wave: Sequence[ClaimedRow]) -> list[Receipt]:
    """Publish what readers accept, and only that.

    Over a body beyond its own limit a broker closes the channel, and the fate of all its neighbours would be unknown,
    at every try.
    """
    fit = [row for row in wave if len(row.payload) <= LARGEST_BODY]
    receipts = iter(await publisher.publish([outgoing(row) for row in fit]))
    return [next(receipts) if len(row.payload) <= LARGEST_BODY else _oversized(row) for row in wave]


def _oversized(row: ClaimedRow) -> Receipt:
    return Receipt(Fate.INVALID, f"{len(row.payload)} bytes, the limit is {LARGEST_BODY}; it was not sent")


def _by_aggregate(rows: Sequence[ClaimedRow]) -> list[Line]:
    lines: dict[str, Line] = {}
    for row in rows:
        lines.setdefault(row.aggregateid, deque()).append(row)
    return list(lines.values())


def _confirmed(receipt: Receipt) -> bool:
    return receipt.fate is Fate.CONFIRMED


def _try(row: ClaimedRow, receipt: Receipt) -> Tried:
    return Tried(row, receipt, decide(row.position, row.attempts, receipt, random()))  # noqa: S311 - only jitter


def outgoing(row: ClaimedRow) -> Outgoing:
    """Return a row as a message. The payload is never parsed; the columns say what a broker's UI shows."""
    message = Message(
        body=row.payload,
        content_type=STRUCTURED,
        message_id=row.id,
        type=row.type,
        source=row.source,
        correlation_id=row.correlationid,
        time=row.time,
    )
    return Outgoing(exchange=row.exchange, routing_key=routing_key(row.type, Lane(row.lane)), message=message)
