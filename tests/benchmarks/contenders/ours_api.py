"""Our API with a relay in its process, from the product's own root, hashing passwords at full cost or at next to none.

At next to none it is comparable with the others, which hash nothing; the full cost is a price of its own.
"""

import asyncio
import signal

from benchmarks.contenders.contract import Errand, read_errand
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from uvicorn.loops.auto import auto_loop_factory

from producer_service.app import producer
from producer_service.passwords import argon2id
from producer_service.serving import serve
from producer_service.settings import ApiSettings
from shared.backends import open_transport
from shared.logs import configure_logs
from shared.loop import pass_over_what_is_loaded


def cheapest() -> PasswordHash:
    """Return the least that Argon2 can do: one pass over eight kilobytes."""
    return PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))


async def main(errand: Errand) -> None:
    """Serve until SIGTERM."""
    configure_logs("producer", level="WARNING", shape="json")
    relays = errand.options.get("relay", "here") == "here"
    settings = ApiSettings(
        broker_url=errand.broker_url,
        database_url=errand.database_url,
        link_secret="a secret for measuring, of some length",
        relay_in_api=relays,
    )
    transport = open_transport(errand.broker_url, name="tidings producer")
    stop, port = asyncio.Event(), int(errand.options["port"])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    hasher = argon2id() if errand.options.get("hashing") == "full" else cheapest()
    async with producer(settings, transport, stopping=stop, hasher=hasher) as app:
        pass_over_what_is_loaded()
        await serve(app, host="127.0.0.1", port=port, stopping=stop, drain_seconds=0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:
        loop.run(main(read_errand()))
