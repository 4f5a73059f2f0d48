"""Requests at a pace, whether or not the ones before have been answered, and how long each answer took."""

from functools import partial
from time import perf_counter

import httpx2
from benchmarks.contenders.in_flight import at_pace

ANSWER_SECONDS = 30.0
PATH = "/v1/users"


async def register_users(url: str, *, count: int, rate: float) -> tuple[list[float], int]:
    """Register so many users, `rate` a second; return the milliseconds of each answer, and how many were not 202."""
    milliseconds: list[float] = []
    refused = 0

    async def register(client: httpx2.AsyncClient, number: int) -> None:
        nonlocal refused
        user = {"email": f"user{number}@example.org", "password": "correct horse battery", "name": "Ann Example"}
        begun = perf_counter()
        answer = await client.post(f"{url}{PATH}", json=user)
        milliseconds.append(1000 * (perf_counter() - begun))
        refused += answer.status_code != httpx2.codes.ACCEPTED

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(timeout=ANSWER_SECONDS, limits=limits) as client:
        await at_pace(rate, [partial(register, client, number) for number in range(count)])
    return milliseconds, refused
