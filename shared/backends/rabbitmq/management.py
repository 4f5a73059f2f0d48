"""What the broker's management API shows: one virtual host, read as a user with the tag `management`.

Spoken with the standard library in a thread, because the language of the services brings no HTTP client with it.
"""

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import quote

from yarl import URL

from shared.backends.rabbitmq.live import Condition, LiveBinding, LiveBroker, LiveExchange, LivePolicy, LiveQueue
from shared.errors import BrokerUnavailable

ANSWER_SECONDS = 5.0
"""For one request."""

LOOK_SECONDS = 20.0
"""For all requests of one look."""

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 400, 401, 403, 404
REFUSED = {UNAUTHORIZED, FORBIDDEN}

GUEST = ("guest", "guest")
"""The user and password with which every RabbitMQ comes."""

QUEUE_COLUMNS = "name,type,durable,auto_delete,exclusive,arguments,consumers"
"""The list of a large broker's queues with all their statistics would be megabytes."""

T = TypeVar("T")


class Management:
    """The management API at one URL. Holds no connection between calls."""

    def __init__(self, url: str, broker_url: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """Take user and password from `url`, or from the broker's where it has none; the virtual host is the broker's.

        `?cafile=` names the CA of a broker whose certificate is not signed by one that this machine knows.
        """
        self._url, broker = URL(url), URL(broker_url)
        giver = self._url if self._url.user else broker
        self._credentials = giver.user or GUEST[0], giver.password or GUEST[1]
        self._answer_seconds = answer_seconds
        self._vhost = quote(broker.path[1:] or "/", safe="")

    async def look(self) -> LiveBroker:
        """Return what the virtual host holds. Raises BrokerUnavailable, saying why, when it cannot be seen."""
        vhost = self._vhost
        found = await self._ask(
            f"exchanges/{vhost}",
            f"queues/{vhost}?columns={QUEUE_COLUMNS}",
            f"bindings/{vhost}",
            f"policies/{vhost}",
            f"operator-policies/{vhost}",
        )
        return self._read(_broker, found)

    async def condition(self) -> Condition:
        """Return what is known of the broker itself. Raises BrokerUnavailable as `look` does.

        Tries to log in as guest: where that is refused, as it should be, the broker's log says so once.
        """
        found = await self._ask("overview", optional=("feature-flags", "deprecated-features/used"))
        return self._read(_condition, [*found, await self._within_the_deadline(self._guest_may_enter)])

    def _read(self, reader: Callable[..., T], found: Sequence[Any]) -> T:
        try:
            return reader(*found)
        except (LookupError, TypeError, AttributeError) as error:
            raise BrokerUnavailable(f"{self._place}: its answer is not that of a RabbitMQ ({error!r})") from error

    @property
    def _place(self) -> str:
        return f"management API at {self._url.host}:{self._url.port}"

    async def _ask(self, *required: str, optional: Sequence[str] = ()) -> list[Any]:
        return await self._within_the_deadline(partial(self._get_all, required, optional))

    async def _within_the_deadline(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await asyncio.to_thread(work)
        except TimeoutError as error:
            raise BrokerUnavailable(f"{self._place}: no answer before the deadline") from error
        except (OSError, HTTPException, ValueError) as error:
            raise BrokerUnavailable(f"{self._place}: {str(error) or type(error).__name__}") from error

    def _get_all(self, required: Sequence[str], optional: Sequence[str]) -> list[Any]:
        with closing(self._connect()) as connection:
            found = [self._get(connection, path) for path in required]
            return found + [self._get_if_allowed(connection, path) for path in optional]

    def _guest_may_enter(self) -> bool:
        with closing(self._connect()) as connection:
            return self._request(connection, "whoami", GUEST)[0] not in REFUSED

    def _connect(self) -> HTTPConnection:
        host, port = self._url.host or "", self._url.port
        if self._url.scheme != "https":
            return HTTPConnection(host, port, timeout=self._answer_seconds)
        context = ssl.create_default_context(cafile=self._url.query.get("cafile"))
        return HTTPSConnection(host, port, timeout=self._answer_seconds, context=context)

    def _get_if_allowed(self, connection: HTTPConnection, path: str) -> Any:
        status, body = self._request(connection, path, self._credentials)
        return None if status in REFUSED | {NOT_FOUND} else _answer(path, status, body)

    def _get(self, connection: HTTPConnection, path: str) -> Any:
        status, body = self._request(connection, path, self._credentials)
        if status in REFUSED:
            needs = "it needs the tag `management`, and rights in the virtual host"
            raise OSError(f"user {self._credentials[0]!r} is refused; {needs}")
        return _answer(path, status, body)

    def _request(self, connection: HTTPConnection, path: str, credentials: tuple[str, str]) -> tuple[int, bytes]:
        encoded = b64encode(":".join(credentials).encode()).decode()
        prefix = self._url.raw_path.rstrip("/")
        connection.request("GET", f"{prefix}/api/{path}", headers={"Authorization": f"Basic {encoded}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def _answer(path: str, status: int, body: bytes) -> Any:
    if status >= BAD_REQUEST:
        raise OSError(f"answered {status} to {path.partition('?')[0]}")
    return json.loads(body)


def _broker(exchanges: Any, queues: Any, bindings: Any, policies: Any, operator_policies: Any) -> LiveBroker:
    laid = [_policy(each, operator=False) for each in policies]
    laid += [_policy(each, operator=True) for each in operator_policies]
    return LiveBroker(
        exchanges={each["name"]: _exchange(each) for each in exchanges},
        queues={each["name"]: _queue(each) for each in queues},
        bindings=frozenset(
            LiveBinding(each["source"], each["destination"], each["routing_key"])
            for each in bindings
            if each["destination_type"] == "queue"
        ),
        policies=tuple(laid),
    )


def _exchange(found: Any) -> LiveExchange:
    flags = {name: bool(found[name]) for name in ("durable", "auto_delete", "internal")}
    return LiveExchange(found["name"], found["type"], arguments=found["arguments"], **flags)


def _queue(found: Any) -> LiveQueue:
    flags = {name: bool(found[name]) for name in ("durable", "auto_delete", "exclusive")}
    counted = found.get("consumers")
    return LiveQueue(found["name"], found["type"], arguments=found["arguments"], consumers=counted, **flags)


def _policy(found: Any, *, operator: bool) -> LivePolicy:
    return LivePolicy(
        found["name"],
        found["pattern"],
        found["apply-to"],
        found["definition"],
        priority=found["priority"],
        operator=operator,
    )


def _condition(overview: Any, flags: Any, deprecated: Any, guest: bool) -> Condition:  # noqa: FBT001 - as it was asked
    return Condition(
        version=overview["rabbitmq_version"],
        flags=None if flags is None else {each["name"]: each["state"] for each in flags if _is_for_production(each)},
        deprecated=None if deprecated is None else tuple(sorted(each["name"] for each in deprecated)),
        guest=guest,
    )


def _is_for_production(flag: Any) -> bool:
    return bool(flag.get("stability") != "experimental")
