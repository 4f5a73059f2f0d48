"""A real SMTP server on loopback that keeps what it gets and misbehaves as it is told."""

import asyncio
import shutil
import ssl
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG = "hang"
DROP = "drop"
TAKEN = "taken"
"""The point after the final dot: the message has arrived, and the answer is still to come."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate and its key."""

    certificate: Path
    key: Path

    def for_server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def trusted(self) -> ssl.SSLContext:
        """What a client needs that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> Certificate:
    """Make a fresh certificate for these names. Skips the test where there is no openssl to make it with."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    for_names = ["-addext", f"subjectAltName={names}"]
    files = ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run([*command.split(), *for_names, *files], check=True, capture_output=True)
    return made


@dataclass
class SmtpCatcher:
    """What arrived, and what is to be answered.

    `mails` are the messages taken, `recipients` the addresses they were taken for, `commands` every command received.
    """

    port: int = 0
    user: tuple[str, str] = ("ada", "lovelace")
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: list["_Server"] = field(default_factory=list)
    _reached: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _script: dict[str, Iterator[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address for mail in the clear."""
        return f"smtp://127.0.0.1:{self.port}?tls=off"

    def answer(self, command: str, reply: str, *, times: int = 1_000_000) -> None:
        """Give this reply to a command (or to CONNECT, or once a message is TAKEN) so many times, then behave."""
        self._script[command] = repeat(reply, times)

    def hang(self, command: str) -> None:
        """Never answer this command."""
        self.answer(command, HANG)

    def drop(self, command: str) -> None:
        """Cut the connection instead of answering this command."""
        self.answer(command, DROP)

    async def reached(self, command: str) -> None:
        """Wait until this command has come, at most five seconds."""
        async with asyncio.timeout(5):
            await self._reached[command].wait()

    async def left(self) -> None:
        """Wait until every connection is gone, at most five seconds."""
        async with asyncio.timeout(5):
            await asyncio.gather(*(connection.gone.wait() for connection in self.connections))

    def next_answer(self, command: str) -> str | None:
        """Take what is scripted for this command; nothing means to behave."""
        self.commands.append(command)
        self._reached[command].set()
        return next(self._script.get(command, iter(())), None)

    async def handle_DATA(self, server: "_Server", _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a message, unless the script refuses it. aiosmtpd calls this after the final dot."""
        reply = self.next_answer(TAKEN)
        if reply is None or reply in {HANG, DROP}:
            self.mails.append(message_from_bytes(envelope.original_content or b"", policy=default))
            self.recipients.extend(envelope.rcpt_tos)
        if reply in {HANG, DROP}:
            await server.misbehave(reply)
        return reply or "250 2.0.0 taken"

    def authenticate(self, *call: Any) -> AuthResult:
        """Let the one user in."""
        login, password = self.user
        return AuthResult(success=call[-1] == LoginPassword(login.encode(), password.encode()), handled=False)


class _Server(SMTP):
    """aiosmtpd's server, asking the script before it does anything."""

    def __init__(self, catcher: SmtpCatcher, *, starttls: ssl.SSLContext | None, international: bool) -> None:
        super().__init__(
            catcher,
            hostname="catcher.test",
            tls_context=starttls,
            enable_SMTPUTF8=international,
            authenticator=catcher.authenticate,
            auth_require_tls=True,
            loop=asyncio.get_running_loop(),
        )
        self.gone = asyncio.Event()
        self._catcher = catcher
        self._smtp_methods = {name: self._scripted(name, method) for name, method in self._smtp_methods.items()}
        catcher.connections.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.gone.set()

    async def _handle_client(self) -> None:
        reply = self._catcher.next_answer("CONNECT")
        if reply is not None:
            await self.misbehave(reply)
        await super()._handle_client()

    def _scripted(self, command: str, method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def answer(argument: str | None) -> None:
            reply = self._catcher.next_answer(command)
            if reply is None:
                await method(argument)
            elif reply in {HANG, DROP}:
                await self.misbehave(reply)
            else:
                await self.push(reply)

        return answer

    async def misbehave(self, reply: str) -> None:
        """Say the reply, if it is one, and then nothing any more; the end of the connection ends this."""
        if reply == DROP:
            self.abort()
        elif reply != HANG:
            await self.push(reply)
        await asyncio.Event().wait()

    def abort(self) -> None:
        """Cut the connection, if there is one."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def end(self) -> None:
        """Cut the connection and wait until its task has noticed."""
        self.abort()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.gather(self._handler_coroutine, return_exceptions=True)


@asynccontextmanager
async def smtp_catcher(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, international: bool = True
) -> AsyncIterator[SmtpCatcher]:
    """Run a catcher on a free port: in the clear, offering STARTTLS, or in TLS from the first byte."""
    catcher = SmtpCatcher()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Server(catcher, starttls=starttls, international=international), "127.0.0.1", 0, ssl=tls
    )
    catcher.port = server.sockets[0].getsockname()[1]
    try:
        yield catcher
    finally:
        server.close()
        for connection in catcher.connections:
            await connection.end()
        await server.wait_closed()
