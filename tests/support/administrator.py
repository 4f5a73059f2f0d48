"""What an operator does to one virtual host, over RabbitMQ's HTTP API; rabbitmqctl would take seconds each time."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2
from support.rabbit import Rabbit, credentials
from yarl import URL

NOTHING = "^$"

GONE = (httpx2.codes.NOT_FOUND,)


class Administrator:
    """Changes one virtual host and its users; removes, on leaving, the users that it added."""

    def __init__(self, rabbit: Rabbit, vhost_url: str) -> None:
        """Needs a broker whose HTTP API is known, and a virtual host that outlives this."""
        self.url = vhost_url
        self.vhost = URL(vhost_url).path.removeprefix("/")
        self._rabbit = rabbit
        self._users: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in tuple(self._users):
            await self.delete_user(name)

    async def add_user(self, name: str, password: str, *, write: str, read: str) -> str:
        """Add a user who may configure nothing, or change one; return the URL by which it connects."""
        self._users.add(name)
        await self.ask("PUT", f"/users/{name}", {"password": password, "tags": ""})
        await self.grant(name, write=write, read=read)
        return str(URL(self.url).with_user(name).with_password(password))

    def user_of(self, service: str) -> str:
        """Return the name of the user that a service has in this virtual host."""
        return f"{service}-{self.vhost}"

    async def change_password(self, name: str, password: str) -> None:
        await self.ask("PUT", f"/users/{name}", {"password": password, "tags": ""})

    async def grant(self, name: str, *, write: str = NOTHING, read: str = NOTHING) -> None:
        """Let a user publish to these exchanges and read these queues, and nothing else."""
        rights = {"configure": NOTHING, "write": write, "read": read}
        await self.ask("PUT", f"/permissions/{self.vhost}/{name}", rights)

    async def restrict_topics(self, name: str, exchange: str, keys: str) -> None:
        """Let a user publish to a topic exchange with these routing keys only."""
        await self.ask(
            "PUT", f"/topic-permissions/{self.vhost}/{name}", {"exchange": exchange, "write": keys, "read": ".*"}
        )

    async def limit(self, name: str, limit: str, most: int) -> None:
        """Limit a user's `max-connections` or `max-channels`; a negative number lifts the limit."""
        await self.ask("PUT", f"/user-limits/{name}/{limit}", {"value": most})

    async def delete_user(self, name: str) -> None:
        self._users.discard(name)
        await self.ask("DELETE", f"/users/{name}", tolerated=GONE)

    async def close_connections_of(self, name: str) -> None:
        """Close every connection that a user has at this moment; it may have opened others meanwhile."""
        before = set(await self.connections_of(name))
        while before & set(await self.connections_of(name)):
            # RabbitMQ 3.10 answers 500, and leaves some open, when one of them goes while it closes another.
            await self.ask("DELETE", f"/connections/username/{name}", tolerated=(httpx2.codes.INTERNAL_SERVER_ERROR,))

    async def connections_of(self, name: str) -> list[str]:
        """Return the names of a user's connections, as the broker counts them at this moment."""
        return [each["name"] for each in await self.ask("GET", f"/connections/username/{name}")]

    async def has_alarms(self) -> bool:
        """Whether a node has said lately that it is short of memory or disk."""
        return any(node.get("mem_alarm") or node.get("disk_free_alarm") for node in await self.ask("GET", "/nodes"))

    async def delete_queue(self, name: str) -> None:
        await self.ask("DELETE", f"/queues/{self.vhost}/{name}")

    async def purge(self, name: str) -> None:
        await self.ask("DELETE", f"/queues/{self.vhost}/{name}/contents")

    async def delete_exchange(self, name: str) -> None:
        await self.ask("DELETE", f"/exchanges/{self.vhost}/{name}")

    async def unbind(self, exchange: str, queue: str, key: str) -> None:
        await self.ask("DELETE", f"/bindings/{self.vhost}/e/{exchange}/q/{queue}/{quote(key, safe='')}")

    async def set_policy(self, name: str, pattern: str, **definition: Any) -> None:
        """Set a policy on queues; underscores stand for the hyphens in its keys."""
        keys = {key.replace("_", "-"): value for key, value in definition.items()}
        body = {"pattern": pattern, "definition": keys, "apply-to": "queues", "priority": 1}
        await self.ask("PUT", f"/policies/{self.vhost}/{name}", body)

    async def clear_policy(self, name: str) -> None:
        await self.ask("DELETE", f"/policies/{self.vhost}/{name}")

    async def add_vhost(self) -> None:
        """Add the virtual host again; of what was in it, nothing comes back."""
        await self.ask("PUT", f"/vhosts/{self.vhost}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self.ask("PUT", f"/permissions/{self.vhost}/{self._auth[0]}", everything)

    async def delete_vhost(self) -> None:
        await self.ask("DELETE", f"/vhosts/{self.vhost}")

    async def ask(self, method: str, path: str, body: Any = None, *, tolerated: Sequence[int] = ()) -> Any:
        """Send one request; return the JSON of its answer, if it has any. Raises for any error but those tolerated."""
        async with httpx2.AsyncClient(base_url=self._rabbit.management_url, auth=self._auth, timeout=30) as client:
            answer = await client.request(method, f"/api{path}", json=body)
        if answer.status_code not in tolerated:
            answer.raise_for_status()
        return answer.json() if answer.content and answer.is_success else None

    @property
    def _auth(self) -> tuple[str, str]:
        return credentials(self.url)
