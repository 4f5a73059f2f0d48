"""Our API with a relay in its process, hashing passwords at full cost or at next to none.

At next to none it is comparable with the others, which hash nothing; the full cost is a price of its own.
"""

import asyncio
import signal

from benchmarks.contenders.contract import Errand, read_errand
from benchmarks.contenders.ours_producer import Producing, producing
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from uvicorn.loops.auto import auto_loop_factory

from producer_service.edge import Bounded, Correlated, Observed
from producer_service.passwords import Passwords, argon2id
from producer_service.problems import install
from producer_service.routes import build_routes
from producer_service.service import Accounts
from producer_service.serving import serve
from shared.logs import configure_logs

LARGEST = 64 * 1024
HASHES_AT_ONCE = 2


def cheapest() -> PasswordHash:
    """Return the least that Argon2 can do: one pass over eight kilobytes."""
    return PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))


def app_of(parts: Producing, hasher: PasswordHash) -> FastAPI:
    """Return the app with what every request passes in the product."""
    app = FastAPI()
    install(app)
    passwords = Passwords(hasher=hasher, at_once=HASHES_AT_ONCE)
    app.include_router(
        build_routes(accounts=Accounts(unit_of_work=parts.unit_of_work, passwords=passwords), outbox=parts.outbox)
    )
    app.add_middleware(Bounded, largest=LARGEST)
    app.add_middleware(Observed, metrics=parts.metrics)
    app.add_middleware(Correlated)
    return app


async def main(errand: Errand) -> None:
    """Serve until SIGTERM."""
    configure_logs("producer", level="WARNING", shape="json")
    stop, port = asyncio.Event(), int(errand.options["port"])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with producing(errand) as parts:
        hasher = argon2id() if errand.options["hashing"] == "full" else cheapest()
        await serve(app_of(parts, hasher), host="127.0.0.1", port=port, stopping=stop, drain_seconds=0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:
        loop.run(main(read_errand()))
