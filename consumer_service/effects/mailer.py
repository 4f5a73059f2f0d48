"""Mail by SMTP: one connection per mail, and every way it can fail turned into what a retry policy can decide on.

Whose fault a refusal is decides. What the server says about the recipient or the message is final when it says so
(5xx). What it says about us - our certificate check, our password, our sender - is our configuration: the mail
waits, because it must not die of a password that somebody is changing. Once the message has been handed over and
no answer came, nobody knows what became of it; the next attempt carries the same Message-ID.
"""

import asyncio
import re
import ssl
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum

import aiosmtplib

from consumer_service.mail import Mail
from consumer_service.mail_server import MailServer
from consumer_service.outcome import OutcomeUnknown, PermanentFailure, TaskFailure, TemporaryFailure

GOODBYE = 2.0
"""Most seconds to wait for the answer to QUIT. It changes nothing any more; it is only polite."""

ABOUT_US = frozenset({530, 534, 535, 538})
"""Answers about authentication and encryption, at whatever command they come (RFC 4954, RFC 3207)."""

TOO_LARGE = 552
"""The message exceeds what the server takes; it may say so as early as at MAIL."""

ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
"""An enhanced status code (RFC 3463): the one part of a server's text that cannot quote a person's address."""


class Stage(StrEnum):
    """How far a conversation has come, named by what is waiting for its answer."""

    CONNECT = "connect"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"


class Mailer:
    """Sends mail through one server. Holds no connection between two mails, so there is nothing to close."""

    def __init__(
        self,
        url: str,
        *,
        connect_within: timedelta = timedelta(seconds=10),
        answer_within: timedelta = timedelta(seconds=15),
        send_within: timedelta = timedelta(seconds=25),
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Take the server's URL, and the deadlines for a connection, for one answer and for a whole mail.

        The last must be a few seconds below the timeout of the tasks, so that it is the mailer who says what happened.
        `trust` replaces the system's certificates. Reads those from disk; opens no connection. Raises ValueError
        for a URL that `MailServer.parse` refuses.
        """
        self._server = MailServer.parse(url)
        self._connect_within = connect_within.total_seconds()
        self._answer_within = answer_within.total_seconds()
        self._send_within = send_within.total_seconds()
        self._goodbye = min(GOODBYE, self._answer_within)
        self._trust = trust or ssl.create_default_context()

    async def send(self, mail: Mail) -> None:
        """Hand one mail to the server. Returns once the server has taken responsibility for it.

        Raises PermanentFailure, TemporaryFailure or, from the moment the message is handed over, OutcomeUnknown. Their
        texts hold no address, subject or body.
        """
        content = mail.compose().as_bytes()
        conversation = _Conversation(self._client(), self._server)
        try:
            async with asyncio.timeout(self._send_within):
                await conversation.hand_over(mail, content, connect_within=self._connect_within)
        # None of these is raised `from` its cause: the server's words may quote the address, and tracebacks are logged.
        except aiosmtplib.SMTPResponseException as refusal:
            await conversation.quit(self._goodbye)
            raise _refused(conversation.stage, refusal.code, refusal.message) from None
        except (aiosmtplib.SMTPException, OSError) as interruption:
            raise _interrupted(conversation.stage, interruption) from None
        else:
            # Outside the deadline: the mail is out, and what happens to QUIT must not send it a second time.
            await conversation.quit(self._goodbye)
        finally:
            conversation.close()

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            local_hostname=self._server.helo,
            timeout=self._answer_within,
            use_tls=self._server.encryption == "tls",
            start_tls=False,  # The library would do it inside `connect`, where we could not tell how far we came.
            tls_context=self._trust,
        )


class _Conversation:
    """One connection and one mail. `stage` always says which answer is awaited, for whoever catches the error."""

    def __init__(self, client: aiosmtplib.SMTP, server: MailServer) -> None:
        self.stage = Stage.CONNECT
        self._client = client
        self._server = server

    async def hand_over(self, mail: Mail, content: bytes, *, connect_within: float) -> None:
        await self._client.connect(timeout=connect_within)
        await self._greet()
        if self._server.encryption == "starttls":
            await self._encrypt()
        if self._server.username:
            self.stage = Stage.AUTH
            await self._client.login(self._server.username, self._server.password)
        await self._address(mail)
        self.stage = Stage.DATA
        await self._client.data(content)

    async def _greet(self) -> None:
        self.stage = Stage.EHLO
        await self._client.ehlo()

    async def _encrypt(self) -> None:
        if not self._client.supports_extension("starttls"):
            raise TemporaryFailure("our configuration: the mail server offers no STARTTLS, so nothing was sent")
        self.stage = Stage.STARTTLS
        await self._client.starttls()
        await self._greet()  # What the server said before counts for nothing now (RFC 3207, 4.2).

    async def _address(self, mail: Mail) -> None:
        if mail.international and not self._client.supports_extension("smtputf8"):
            raise PermanentFailure("the mail server carries no international addresses (SMTPUTF8)")
        options, encoding = (["SMTPUTF8"], "utf-8") if mail.international else ([], "ascii")
        self.stage = Stage.MAIL
        await self._client.mail(mail.sender.addr_spec, options=options, encoding=encoding)
        self.stage = Stage.RCPT
        try:
            await self._client.rcpt(mail.recipient.addr_spec, encoding=encoding)
        except ValueError:
            raise PermanentFailure("the recipient's address cannot be put on an SMTP command line") from None

    async def quit(self, within: float) -> None:
        """Say goodbye, and wait a moment for an answer. Never fails."""
        with suppress(aiosmtplib.SMTPException, OSError):
            await self._client.quit(timeout=within)

    def close(self) -> None:
        """Close the connection if it is still open."""
        self._client.close()


def _refused(stage: Stage, code: int, text: str) -> TaskFailure:
    """Turn an answer into a failure, by whom it is about."""
    status = ENHANCED.search(text)
    answer = f"the mail server answered {code}{f' ({status[0]})' if status else ''} to {stage}"
    if stage is Stage.DATA and not 400 <= code <= 599:  # noqa: PLR2004 - failure replies, RFC 5321 4.2.1
        return OutcomeUnknown(f"outcome unknown: {answer}")
    if code < 500:  # noqa: PLR2004 - see above
        return TemporaryFailure(answer)
    if code == TOO_LARGE or (stage in {Stage.RCPT, Stage.DATA} and code not in ABOUT_US):
        return PermanentFailure(answer)
    return TemporaryFailure(f"our configuration: {answer}")


def _interrupted(stage: Stage, error: Exception) -> TaskFailure:
    """Turn the lack of an answer into a failure, by how far we had come."""
    if stage is Stage.DATA:
        return OutcomeUnknown("outcome unknown: the mail server took the message and did not answer")
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TemporaryFailure(f"our configuration: the mail server's certificate is not trusted ({stage})")
    if isinstance(cause, ssl.SSLError) and stage in {Stage.CONNECT, Stage.STARTTLS}:
        return TemporaryFailure(f"our configuration: no TLS could be agreed with the mail server ({stage})")
    if isinstance(error, TimeoutError):
        return TemporaryFailure(f"the mail server did not answer in time ({stage})")
    if stage is Stage.AUTH and not isinstance(error, OSError):
        return TemporaryFailure("our configuration: the mail server offers no way to log in that we know")
    return TemporaryFailure(f"the mail server could not be reached or hung up ({stage})")
