"""Signed HTTP notifications: one JSON body to one configured address, which can check who sent it and what came twice.

The receiver computes HMAC-SHA256(secret, `<Webhook-Id>.<Webhook-Timestamp>.<body as received>`) and compares it in
constant time with the hexadecimal digits behind `v1=` in `Webhook-Signature`. It refuses old timestamps, and takes
a Webhook-Id that it has seen before for what it is: the same notification again.
"""

import asyncio
import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote

import httpx2

from consumer_service.outcome import OutcomeUnknown, PermanentFailure, TaskFailure, TemporaryFailure

LONGEST_PAUSE = timedelta(hours=6)
"""The longest Retry-After we follow; the longest rung."""

SHORTEST_SECRET = 16
"""Characters. Whoever can guess the secret can forge notifications."""

NOT_NOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""The client errors that are no error of ours."""

SECONDS = re.compile(r"[0-9]{1,9}")

NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class Webhook:
    """Posts to one address. The client is borrowed: whoever opened it closes it."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        client: httpx2.AsyncClient,
        answer_within: timedelta = timedelta(seconds=10),
    ) -> None:
        """Take the receiver's address, the shared secret, and the deadline for a whole exchange.

        Raises ValueError for an address that is not http(s) or a secret that is too short.
        """
        self._url = _checked(url)
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"the webhook secret needs at least {SHORTEST_SECRET} characters")
        self._secret = secret.encode()
        self._client = client
        self._answer_within = answer_within.total_seconds()

    async def post(self, kind: str, body: Mapping[str, object], idempotency_key: str) -> None:
        """Post one notification. Returns once the receiver has answered 2xx; its own body is not read.

        Raises TemporaryFailure, with the receiver's Retry-After if it gave one; PermanentFailure for any other
        answer; OutcomeUnknown when the request went out and no answer came. Texts hold neither address nor body.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = self._headers(kind, content, quote(idempotency_key, safe="/"))
        try:
            async with (
                asyncio.timeout(self._answer_within),
                self._client.stream(
                    "POST", self._url, content=content, headers=headers, follow_redirects=False
                ) as response,
            ):
                failure = _judge(response)
        # Not raised `from` its cause: the address may hold a token, and tracebacks are logged.
        except NOTHING_SENT as error:
            raise TemporaryFailure(f"the webhook could not be reached ({type(error).__name__})") from None
        except (httpx2.RequestError, TimeoutError) as error:
            raise OutcomeUnknown(f"outcome unknown: no answer from the webhook ({type(error).__name__})") from None
        if failure:
            raise failure

    def _headers(self, kind: str, content: bytes, webhook_id: str) -> dict[str, str]:
        timestamp = str(int(datetime.now(UTC).timestamp()))
        signature = hmac.digest(self._secret, f"{webhook_id}.{timestamp}.".encode() + content, "sha256").hex()
        return {
            "Content-Type": "application/json",
            "Idempotency-Key": webhook_id,
            "Webhook-Event": kind,
            "Webhook-Id": webhook_id,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": f"v1={signature}",
        }


@asynccontextmanager
async def open_webhook(
    url: str, secret: str, *, answer_within: timedelta = timedelta(seconds=10)
) -> AsyncIterator[Webhook]:
    """Open a webhook with its own HTTP client, closed on leaving. The first post opens the first connection."""
    timeout = answer_within.total_seconds()
    async with httpx2.AsyncClient(timeout=timeout) as client:
        yield Webhook(url, secret, client=client, answer_within=answer_within)


def _checked(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        # The library's own words quote the address, which may hold a token.
        raise ValueError("the webhook URL cannot be parsed") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the webhook URL is http[s]://host[/path]")
    return parsed


def _judge(response: httpx2.Response) -> TaskFailure | None:
    """Return the failure that an answer means, or nothing when it means success."""
    if response.is_success:
        return None
    answer = f"the webhook answered {response.status_code}"
    if response.is_server_error or response.status_code in NOT_NOW:
        return TemporaryFailure(answer, retry_after=_retry_after(response.headers.get("Retry-After", "")))
    if response.is_redirect:
        return PermanentFailure(
            f"{answer}; redirects are not followed, so that notifications go where they are meant to"
        )
    return PermanentFailure(answer)


def _retry_after(value: str) -> timedelta | None:
    """Read seconds or an HTTP date (RFC 9110, 10.2.3), never longer than we are willing to wait."""
    if SECONDS.fullmatch(value):
        return min(timedelta(seconds=int(value)), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - datetime.now(UTC), timedelta(0)), LONGEST_PAUSE)
