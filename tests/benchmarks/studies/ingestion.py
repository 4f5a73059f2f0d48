"""How events of other services are taken in over HTTP: one a request at a pace, and in batches as fast as they can."""

import json
from time import perf_counter
from uuid import uuid4

from benchmarks.books import balance, count_rows, declare
from benchmarks.contenders.contract import Errand, as_environment
from benchmarks.contenders.roster import INGESTIONS, Contender
from benchmarks.load import post_at_pace, post_in_turns
from benchmarks.measuring import Child, start
from benchmarks.outbox_books import prepare_producer_database
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place
from benchmarks.spread import percentile
from benchmarks.studies.posts import READY_SECONDS, answers
from support.processes import a_free_port
from support.waiting import eventually

from producer_service.database import open_engine
from producer_service.ingestion.issuing import Issuing

NAME = "ingestion"
AT_ONCE = 3
"""Batches that are on their way together."""


async def study(run: Run) -> None:
    """Ask both ways, round by round."""
    await run.rounds(NAME, INGESTIONS, ingest)


async def ingest(run: Run, contender: Contender, place: Place) -> Numbers:
    """Start an API, send it events with a key that has no limit, and check that each was recorded once."""
    await declare(place.broker_url)
    await prepare_producer_database(place.database_url)
    port = a_free_port()
    options = {**contender.options, "port": str(port)}
    errand = Errand(place.broker_url, place.database_url, 0, options=options)
    headers = {"Authorization": f"Bearer {await _key(place.database_url)}", "Content-Type": "application/json"}
    api = await start((contender.module,), as_environment(errand), name=contender.name, folder=run.folder)
    try:
        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: answers(api, url), within=READY_SECONDS)
        measured = _in_batches if "batch" in options else _at_pace
        return await measured(run, contender, place, api, url, headers)
    finally:
        await api.leave()


async def _key(database_url: str) -> str:
    engine = open_engine(database_url)
    try:
        return await Issuing(engine).create("bench", types=["#"], sources=["/bench"], rate=0)
    finally:
        await engine.dispose()


async def _at_pace(
    run: Run, contender: Contender, place: Place, api: Child, url: str, headers: dict[str, str]
) -> Numbers:
    rate = float(contender.options["rate"])
    await post_at_pace(f"{url}/v1/events", _events(max(int(rate), 1)), rate=rate, headers=headers)
    before, count = run.meter(place).read(api.seen), max(int(run.scale.request_seconds * rate), 1)
    milliseconds, refused = await post_at_pace(f"{url}/v1/events", _events(count), rate=rate, headers=headers)
    after = run.meter(place).read(api.seen)
    balance(f"{contender.name}: refused", refused, 0)
    return {
        "per_second": rate,
        "p50_ms": percentile(milliseconds, 0.5),
        "p99_ms": percentile(milliseconds, 0.99),
        "client_cpu": 1000 * (after.client - before.client) / count,
    }


async def _in_batches(
    run: Run, contender: Contender, place: Place, api: Child, url: str, headers: dict[str, str]
) -> Numbers:
    size, path = int(contender.options["batch"]), f"{url}/v1/events:batch"
    count = max(run.scale.messages // size, 1) * size
    batches = [json.dumps(_events(size)).encode() for _ in range(count // size)]
    await post_in_turns(path, [json.dumps(_events(size)).encode()], at_once=1, headers=headers)
    before, begun = run.meter(place).read(api.seen), perf_counter()
    refused = await post_in_turns(path, batches, at_once=AT_ONCE, headers=headers)
    seconds, after = perf_counter() - begun, run.meter(place).read(api.seen)
    balance(f"{contender.name}: refused", refused, 0)
    balance(f"{contender.name}: rows", await count_rows(place.database_url, "outbox", "true"), count + size)
    used = None if before.database is None or after.database is None else after.database - before.database
    return {
        "per_second": count / seconds,
        "client_cpu": 1000 * (after.client - before.client) / count,
        "database_cpu": None if used is None else 1000 * used / count,
    }


def _events(count: int) -> list[object]:
    user = {"email": "ann@example.org", "name": "Ann Example", "locale": "en"}
    return [
        {"type": "user.created", "data": {**user, "user_id": str(uuid4()), "verification_id": str(uuid4())}}
        for _ in range(count)
    ]
