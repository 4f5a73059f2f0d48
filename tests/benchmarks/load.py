"""Requests over HTTP: at a pace, whether or not the ones before have been answered, or as fast as they are."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import httpx2
from benchmarks.contenders.in_flight import at_pace

ANSWER_SECONDS = 30.0
IDLE_SECONDS = 2.0
"""After which a connection is not used again. Servers close theirs after five, and what is just being sent is lost."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is posted where, about the user of a number."""

    path: str
    body: Callable[[int], dict[str, str]]


USERS = Asked(
    "/v1/users",
    lambda number: {**_address(number), "password": "correct horse battery", "name": "Ann Example"},
)
CODES = Asked("/v1/verification-codes", lambda number: {**_address(number), "purpose": "sign-in"})
ASKED = {"users": USERS, "codes": CODES}


def _address(number: int) -> dict[str, str]:
    return {"email": f"user{number}@example.org"}


async def ask_at_pace(url: str, asked: Asked, *, count: int, rate: float) -> tuple[list[float], int]:
    """Ask about so many users, `rate` a second; return the milliseconds of each answer, and how many were not 202."""
    return await post_at_pace(f"{url}{asked.path}", [asked.body(number) for number in range(count)], rate=rate)


async def post_at_pace(
    url: str, bodies: Sequence[object], *, rate: float, headers: Mapping[str, str] | None = None
) -> tuple[list[float], int]:
    """Post each as JSON, `rate` a second; return the milliseconds of each answer, and how many were not 202.

    What is not answered at all is among them.
    """
    milliseconds: list[float] = []
    refused = 0

    async def post(client: httpx2.AsyncClient, body: object) -> None:
        nonlocal refused
        begun = perf_counter()
        try:
            status = (await client.post(url, json=body, headers=headers)).status_code
        except httpx2.TransportError:
            status = 0
        milliseconds.append(1000 * (perf_counter() - begun))
        refused += status != httpx2.codes.ACCEPTED

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)
    async with httpx2.AsyncClient(timeout=ANSWER_SECONDS, limits=limits) as client:
        await at_pace(rate, [partial(post, client, body) for body in bodies])
    return milliseconds, refused


async def post_in_turns(url: str, bodies: Sequence[bytes], *, at_once: int, headers: Mapping[str, str]) -> int:
    """Post these, so many at once, as fast as they are answered; return how many were not answered with 202."""
    waiting, refused = iter(bodies), 0

    async def post(client: httpx2.AsyncClient, mine: Iterator[bytes]) -> None:
        nonlocal refused
        for body in mine:
            answer = await client.post(url, content=body, headers=headers)
            refused += answer.status_code != httpx2.codes.ACCEPTED

    async with httpx2.AsyncClient(timeout=ANSWER_SECONDS) as client:
        await asyncio.gather(*(post(client, waiting) for _ in range(at_once)))
    return refused
