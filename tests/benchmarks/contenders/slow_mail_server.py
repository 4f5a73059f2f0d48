"""A mail server that takes one to three seconds for a mail, as the seed documents found theirs to do."""

import asyncio
import random
import signal

from aiosmtpd.smtp import SMTP, Envelope, Session
from benchmarks.contenders.contract import Errand, mark, read_errand

LEAST_SECONDS, MOST_SECONDS = 1.0, 3.0


class Slow:
    """Takes every mail, after a while."""

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        """Wait, and take it. aiosmtpd calls this after the final dot."""
        await asyncio.sleep(random.uniform(LEAST_SECONDS, MOST_SECONDS))  # noqa: S311
        return "250 2.0.0 taken"


async def main(errand: Errand) -> None:
    """Serve until SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    port = int(errand.options["smtp_port"])
    server = await loop.create_server(lambda: SMTP(Slow(), hostname="slow.test", loop=loop), "127.0.0.1", port)
    mark("ready")
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(read_errand()))
