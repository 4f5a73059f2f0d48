"""Who stands at the door, and whether they may come in now: key, room in the outbox, rate, Idempotency-Key."""

import re
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from producer_service.edge import travel_of
from producer_service.high_water import ROOM_SECONDS, HighWater
from producer_service.ingestion.idempotency import Once, fingerprint
from producer_service.ingestion.keys import Key, KeyRing
from producer_service.ingestion.rates import Allowance, Rates
from producer_service.problems import BAD_IDEMPOTENCY_KEY, MALFORMED, NO_API_KEY, OUTBOX_FULL, RATE_LIMITED, Problem
from producer_service.unit_of_work import Travel

SCHEME = "Bearer"
IDEMPOTENCY_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"|([!#-~]{1,255})')
"""A string of RFC 8941 in quotes, as the draft has it, or the bare word that most clients send."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever has been let in, and what its request hands on."""

    key: Key
    travel: Travel


class Door:
    """Lets requests in. Raises the Problem that tells a caller why not."""

    def __init__(self, *, keys: KeyRing, rates: Rates, high_water: HighWater) -> None:
        """Ask these."""
        self._keys = keys
        self._rates = rates
        self._high_water = high_water

    async def admit(self, request: Request, *, records: bool = True) -> Caller:
        """Let a request in whose body nobody has read yet: it must have a key that lives, and owe nothing.

        What `records` messages is turned away while the outbox is full.
        """
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        key = await self._keys.find(presented.strip()) if scheme.lower() == SCHEME.lower() else None
        if key is None:
            raise Problem(NO_API_KEY, headers={"WWW-Authenticate": f'{SCHEME} realm="tidings"'})
        if records and self._high_water.turn_away():
            raise Problem(OUTBOX_FULL, headers={"Retry-After": str(ROOM_SECONDS)})
        self.charge(key, 0)
        return Caller(key, await travel_of(request))

    def charge(self, key: Key, events: int) -> Allowance:
        """Take so many events from what the key may send; refuse the request when it may not send them yet."""
        allowance = self._rates.take(key.id, key.rate, events)
        if not allowance.granted:
            raise Problem(RATE_LIMITED, headers={"Retry-After": str(allowance.wait_seconds)} | allowance.headers())
        return allowance


async def body_of(request: Request) -> bytes:
    """Return the body. Raises Problem for one that is too large, too slow, or not sent to its end."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise Problem(MALFORMED) from None


def once(request: Request, key: Key, body: bytes) -> Once | None:
    """Return how the request is to be told from others, or None when it has no Idempotency-Key."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    written = IDEMPOTENCY_KEY.fullmatch(given[0].strip())
    if len(given) > 1 or written is None:
        raise Problem(BAD_IDEMPOTENCY_KEY)
    word = written[2] or re.sub(r'\\(["\\])', r"\1", written[1])
    return Once(key.client, word, _fingerprint(request, body))


def _fingerprint(request: Request, body: bytes) -> bytes:
    """Two requests are the same when they say the same: where, how it is written, and what."""
    names = sorted(name for name in request.headers if name == "content-type" or name.startswith("ce-"))
    headers = [f"{name}: {request.headers[name]}".encode() for name in names]
    target = [request.method.encode(), request.scope["path"].encode(), request.scope["query_string"]]
    return fingerprint(*target, body, *headers)
