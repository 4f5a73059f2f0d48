"""How long a POST takes that leads to a mail, at 100 requests a second and a mail server that takes 1 to 3 seconds."""

from contextlib import AsyncExitStack

import httpx2
from benchmarks.books import declare, prepare_consumer_database
from benchmarks.contenders.contract import Errand, as_environment
from benchmarks.contenders.roster import APIS, HERE, Contender
from benchmarks.load import ASKED, USERS, Asked, ask_at_pace
from benchmarks.measuring import Child, ContenderFailed, cpu_of, start
from benchmarks.outbox_books import prepare_producer_database
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place
from benchmarks.spread import percentile
from support.processes import a_free_port
from support.waiting import eventually

NAME = "http"
READY_SECONDS = 60.0


async def study(run: Run) -> None:
    """Ask every API, round by round."""
    await run.rounds(NAME, APIS, ask)


async def ask(run: Run, contender: Contender, place: Place) -> Numbers:
    """Start a slow mail server and an API, and register users at a pace."""
    await declare(place.broker_url)
    await prepare_producer_database(place.database_url)
    await prepare_consumer_database(place.database_url)
    port, options = a_free_port(), dict(contender.options)
    options |= {"port": str(port), "smtp_port": str(a_free_port())}
    errand = Errand(place.broker_url, place.database_url, 0, options=options)
    async with AsyncExitStack() as leaving:
        mails = await start((f"{HERE}.slow_mail_server",), as_environment(errand), name="mail", folder=run.folder)
        leaving.push_async_callback(mails.leave)
        await mails.mark("ready")
        api = await start((contender.module,), as_environment(errand), name=contender.name, folder=run.folder)
        leaving.push_async_callback(api.leave)
        rate, asked = float(contender.options["rate"]), ASKED[contender.options.get("asks", "users")]
        return await _asked(run, api, f"http://127.0.0.1:{port}", rate, asked)


async def _asked(run: Run, api: Child, url: str, rate: float, asked: Asked) -> Numbers:
    """Register some users to warm it up, or all of them if they are what is asked about; then ask."""
    await eventually(lambda: answers(api, url), within=READY_SECONDS)
    count = max(int(run.scale.request_seconds * rate), 1)
    await ask_at_pace(url, USERS, count=max(int(rate), 1) if asked is USERS else count, rate=rate)
    before = cpu_of(api.seen) or 0.0
    milliseconds, refused = await ask_at_pace(url, asked, count=count, rate=rate)
    cpu = (cpu_of(api.seen) or 0.0) - before
    return {
        "rate": rate,
        "p50_ms": percentile(milliseconds, 0.5),
        "p99_ms": percentile(milliseconds, 0.99),
        "client_cpu": 1000 * cpu / count,
        "refused": refused,
    }


async def answers(api: Child, url: str) -> bool:
    """Whether the API takes requests. Raises ContenderFailed once it has ended: another may have had its port."""
    if api.process.returncode is not None:
        raise ContenderFailed(f"{api.name} ended with {api.process.returncode}; it said:\n{api.words()}")
    try:
        async with httpx2.AsyncClient(timeout=5) as client:
            await client.get(url)
    except httpx2.TransportError:
        return False
    return True
