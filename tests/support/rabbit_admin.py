"""What an operator does to a broker by its management API: policies, users, and careless deletions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from support.rabbit import Rabbit, credentials
from yarl import URL


class Admin:
    """An operator of one virtual host."""

    def __init__(self, client: httpx2.Client, url: str, *, kind: str) -> None:
        self._client = client
        self._kind = kind
        self._vhost = quote(URL(url).path.removeprefix("/"), safe="")
        self.url = url

    def set_policy(self, name: str, pattern: str, definition: Mapping[str, object], applies_to: str = "queues") -> None:
        body = {"pattern": pattern, "definition": dict(definition), "apply-to": applies_to}
        self._ask("PUT", f"policies/{self._vhost}/{name}", body)

    def set_operator_policy(self, name: str, pattern: str, definition: Mapping[str, object]) -> None:
        body = {"pattern": pattern, "definition": dict(definition), "apply-to": "queues"}
        self._ask("PUT", f"operator-policies/{self._vhost}/{name}", body)

    def declare_queue(self, name: str, *, durable: bool = True, **arguments: Any) -> None:
        """Declare a queue; `delivery_limit=5` is the argument `x-delivery-limit`."""
        named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        self._ask("PUT", f"queues/{self._vhost}/{name}", {"durable": durable, "arguments": named})

    def declare_exchange(self, name: str, kind: str) -> None:
        self._ask("PUT", f"exchanges/{self._vhost}/{name}", {"type": kind, "durable": True})

    def delete_queue(self, name: str) -> None:
        self._ask("DELETE", f"queues/{self._vhost}/{name}")

    def purge(self, queue: str) -> None:
        """Throw away what is ready in a queue."""
        self._ask("DELETE", f"queues/{self._vhost}/{queue}/contents")

    def delete_exchange(self, name: str) -> None:
        self._ask("DELETE", f"exchanges/{self._vhost}/{name}")

    def bind(self, exchange: str, queue: str, key: str) -> None:
        self._ask("POST", f"bindings/{self._vhost}/e/{exchange}/q/{queue}", {"routing_key": key})

    def unbind(self, exchange: str, queue: str, key: str) -> None:
        """Remove a binding; the broker names it by its routing key."""
        self._ask("DELETE", f"bindings/{self._vhost}/e/{exchange}/q/{queue}/{quote(key, safe='')}")

    def needs_a_broker_of_ours(self) -> None:
        """Skip where what follows would stay on a broker that somebody else runs, or depends on how it was set up."""
        if self._kind == "url":
            pytest.skip("would add users to a broker that is not ours, or depend on those it has")

    def import_definitions(self, definitions: Mapping[str, Any]) -> None:
        self.needs_a_broker_of_ours()
        self._ask("POST", "definitions", definitions)

    def add_user(self, name: str, *, tags: str = "", **rights: str) -> str:
        """Make a user whose password is its name, with these rights or none here; return its AMQP URL."""
        self.needs_a_broker_of_ours()
        user = quote(name, safe="")
        self._ask("PUT", f"users/{user}", {"password": name, "tags": tags})
        granted = {"configure": "^$", "write": "^$", "read": "^$"} | rights
        self._ask("PUT", f"permissions/{self._vhost}/{user}", granted)
        return str(URL(self.url).with_user(name).with_password(name))

    def delete_user(self, name: str) -> None:
        self._ask("DELETE", f"users/{quote(name, safe='')}")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        return self._client.request(method, f"/api/{path}", json=body).raise_for_status()


@contextmanager
def administering(rabbit: Rabbit, url: str) -> Iterator[Admin]:
    """Administer the virtual host of this URL; skip where the broker has no management API."""
    if not rabbit.management_url:
        pytest.skip("the broker has no management API")
    with httpx2.Client(base_url=rabbit.management_url, auth=credentials(url), timeout=30) as client:
        yield Admin(client, url, kind=rabbit.kind)
