"""Mails and what tasks are handed, every default valid, so that a test states only what matters to it."""

from dataclasses import replace
from datetime import datetime, timedelta
from email.headerregistry import Address
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any
from uuid import UUID

import pytest

from consumer_service.effects.mailer import Mailer
from consumer_service.mail import Mail
from consumer_service.outcome import TaskFailure
from consumer_service.task import Context
from shared.contracts import Contract
from shared.envelope import enclose

A_MOMENT = timedelta(seconds=0.2)
LONG = timedelta(seconds=10)

TRUSTING_NOBODY = SSLContext(PROTOCOL_TLS_CLIENT)
"""Verifies, and knows no authority. Reading the system's takes longer than most tests."""

LINK_SECRET = "a secret of more than thirty-two characters"
ADA = UUID("0198aaaa-0000-7000-8000-0000000000ad")

A_MAIL = Mail(
    message_id="<0198aaaa@example.org>",
    sender=Address("Tidings", "no-reply", "example.org"),
    to="ada@example.com",
    subject="A subject",
    text="A text.\n",
    html="<p>A text.</p>\n",
)


def a_mail(**changes: Any) -> Mail:
    return replace(A_MAIL, **changes)


def a_mailer(
    url: str,
    *,
    connect_within: timedelta = A_MOMENT,
    answer_within: timedelta = A_MOMENT,
    send_within: timedelta = LONG,
    trust: SSLContext | None = TRUSTING_NOBODY,
) -> Mailer:
    return Mailer(url, connect_within=connect_within, answer_within=answer_within, send_within=send_within, trust=trust)


async def failure_of(url: str, mail: Mail | None = None, **how: Any) -> TaskFailure:
    """Send, and return how it failed, once it is sure that the failure tells a log nothing about the person."""
    with pytest.raises(TaskFailure) as failure:
        await a_mailer(url, **how).send(mail or a_mail())
    said = str(failure.value)
    assert not [secret for secret in ("ada@", "example.com", "A subject", "A text", "sesame") if secret in said]
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__ or failure.value.__context__ is None
    return failure.value


def a_context(
    message: Contract,
    *,
    task: str = "SendMail",
    message_id: str = "0198-1",
    time: datetime | None = None,
    attempt: int = 1,
) -> Context:
    envelope = enclose(message, source="/tests")
    return Context(replace(envelope, id=message_id, time=time or envelope.time), task, attempt)


def about_ada(**changes: Any) -> dict[str, Any]:
    """What every event about a user says."""
    return {"user_id": ADA, "email": "ada@example.com", "name": "Ada", **changes}
