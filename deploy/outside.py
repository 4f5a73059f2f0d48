"""The world outside, for a demo: a mail server that keeps what it gets, and a webhook receiver that is out of order."""

import asyncio
import html
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

LOOPBACK = "127.0.0.1"


@dataclass
class Outside:
    """What arrived out there, and whether the receiver is in order."""

    mails: list[EmailMessage] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    """The status each webhook call was answered with."""
    receiver_in_order: bool = False
    smtp_port: int = 0
    http_port: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        mail = message_from_bytes(envelope.content, policy=default)
        self.mails.append(mail)
        return "250 2.0.0 kept"

    def receive(self) -> int:
        """Answer a webhook call: 204 when in order, 503 when not."""
        self.calls.append(204 if self.receiver_in_order else 503)
        return self.calls[-1]


class BesideServer(uvicorn.Server):
    """A server beside others in one process, which leaves the signals to whoever runs them all."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


@asynccontextmanager
async def open_outside() -> AsyncIterator[Outside]:
    """Open both servers on free loopback ports."""
    outside = Outside()
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: SMTP(outside, hostname="demo.invalid", loop=loop), LOOPBACK, 0)
    outside.smtp_port = smtp.sockets[0].getsockname()[1]
    try:
        async with serving(_receiver(outside)) as port:
            outside.http_port = port
            yield outside
    finally:
        smtp.close()


@asynccontextmanager
async def serving(app: FastAPI, port: int = 0) -> AsyncIterator[int]:
    """Serve an app on loopback for as long as this context lasts; give its port."""
    server = BesideServer(
        uvicorn.Config(app, host=LOOPBACK, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=3)
    )
    task = asyncio.create_task(server.serve())
    while not (server.started or task.done()):  # noqa: ASYNC110 - uvicorn sets a flag, and offers no event
        await asyncio.sleep(0.01)
    if task.done():
        raise OSError(f"port {port} could not be opened")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def _receiver(outside: Outside) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post("/webhook")
    async def webhook() -> Response:
        return Response(status_code=outside.receive())

    @app.get("/mails")
    async def mails() -> HTMLResponse:
        rows = (
            f"<li><a href='/mails/{number}'>{html.escape(mail['subject'])}</a> to {html.escape(mail['to'])}</li>"
            for number, mail in enumerate(outside.mails)
        )
        return HTMLResponse(f"<!doctype html><title>Mails</title><h1>Mails</h1><ol>{''.join(rows)}</ol>")

    @app.get("/mails/{number}")
    async def mail(number: int) -> HTMLResponse:
        if not 0 <= number < len(outside.mails):
            return HTMLResponse("no such mail", status_code=404)
        part = outside.mails[number].get_body(("html",))
        return HTMLResponse(part.get_content() if part else "")

    return app
