"""One request from the door to its answer."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

from fastapi import Request, Response

from producer_service.ingestion.accepting import Candidate, Done, Ingestion, Tell
from producer_service.ingestion.answers import problems_told, tell_all_or_nothing, tell_one, tell_several
from producer_service.ingestion.door import Caller, Door, body_of, once
from producer_service.ingestion.offers import Offer, read_one, read_several
from producer_service.ingestion.rates import Allowance
from producer_service.ingestion.reading import Reading
from producer_service.ingestion.refusals import Refusal, Refused
from producer_service.metrics import Metrics
from shared.envelope import EnvelopeReader

AT_A_STRETCH = 50
"""Events that are read before other requests have their turn: about two milliseconds."""

REPLAYED = {"Idempotency-Replayed": "true"}


class Reception:
    """Takes requests in. Raises the Problem that each must be answered with instead."""

    def __init__(
        self,
        *,
        door: Door,
        ingestion: Ingestion,
        reader: EnvelopeReader,
        metrics: Metrics,
        longest_delay: timedelta,
    ) -> None:
        """`reader` knows the contracts of everything that may be sent."""
        self._door = door
        self._ingestion = ingestion
        self._reader = reader
        self._metrics = metrics
        self._longest_delay = longest_delay

    async def take_one(self, request: Request) -> Response:
        """Take one event or command in."""
        caller = await self._door.admit(request)
        body = await body_of(request)
        with problems_told():
            offer = read_one(body, _content_type(request), request.headers)
            return await self._take(request, caller, body, [offer], tell_one)

    async def take_several(self, request: Request, *, atomic: bool) -> Response:
        """Take a batch in: each entry for itself, or all of them or none."""
        caller = await self._door.admit(request)
        body = await body_of(request)
        with problems_told():
            entries = read_several(body, _content_type(request))
            return await self._take(request, caller, body, entries, tell_all_or_nothing if atomic else tell_several)

    async def _take(
        self, request: Request, caller: Caller, body: bytes, entries: Sequence[Offer | Refusal], tell: Tell
    ) -> Response:
        allowance = self._door.charge(caller.key, len(entries))
        reading = Reading(self._reader, scope=caller.key.scope, travel=caller.travel, longest_delay=self._longest_delay)

        async def read() -> Sequence[Candidate | Refusal]:
            found: list[Candidate | Refusal] = []
            for stretch in _stretches(entries):
                found += [_read(reading, entry) for entry in stretch]
                await asyncio.sleep(0)
            return found

        done = await self._ingestion.accept(read, caller.travel, once=once(request, caller.key, body), tell=tell)
        self._metrics.ingested.labels(client=caller.key.client).inc(done.accepted)
        return _response(done, allowance)


def _read(reading: Reading, entry: Offer | Refusal) -> Candidate | Refusal:
    if isinstance(entry, Refusal):
        return entry
    try:
        return Candidate(reading.read(entry), entry.at, reading.place(entry))
    except Refused as error:
        return error.refusal


def _stretches(entries: Sequence[Offer | Refusal]) -> Iterator[Sequence[Offer | Refusal]]:
    for begin in range(0, len(entries), AT_A_STRETCH):
        yield entries[begin : begin + AT_A_STRETCH]


def _response(done: Done, allowance: Allowance) -> Response:
    headers = {**done.answer.headers, **allowance.headers(), **(REPLAYED if done.is_repeated else {})}
    return Response(done.answer.body, status_code=done.answer.status, headers=headers)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "")
