"""What tests may ask of any RabbitMQ, whoever started it: its URL, its version, and an empty corner of it.

Calls block until they are done or their deadline passes; from a coroutine, `asyncio.to_thread` keeps the loop alive.
"""

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Protocol
from urllib.parse import quote
from uuid import uuid4

import aiormq
import httpx2
from aiormq.exceptions import AMQPError
from yarl import URL

START_SECONDS = 90.0
PAUSE_SECONDS = 0.05
ANSWER_SECONDS = 10.0
CTL_SECONDS = 60.0


class NoRabbit(Exception):
    """No broker can be had this way, or it will not do what was asked."""


class Vhosts(Protocol):
    """A way to make and unmake virtual hosts. Raises NoRabbit when the broker will not."""

    def create(self, name: str) -> None:
        """Make one in which our user may do everything."""

    def delete(self, name: str) -> None:
        """Delete one with all that is in it; connections to it are closed."""

    def close(self) -> None:
        """Let go of whatever this way holds open."""


class Rabbit:
    """One broker for tests. Virtual hosts made here are deleted by `close`."""

    kind: ClassVar[str]

    def __init__(self, amqp_url: str, vhosts: Vhosts | None) -> None:
        """Without a way to make virtual hosts, every test gets the one in the URL."""
        self._amqp_url = amqp_url
        self._vhosts = vhosts
        self._made: list[str] = []
        self._version = ""

    def __str__(self) -> str:
        """Say what it is in a few words, for the line that closes a test run."""
        return f"rabbitmq {self.version} ({self.kind})"

    @property
    def version(self) -> str:
        """The version, in the broker's own words."""
        self._version = self._version or greet(self._amqp_url)
        return self._version

    @property
    def management_url(self) -> str:
        """Where the HTTP API is, which takes the user of the AMQP URL; empty where it is not known to be reachable."""
        return self._vhosts.url if isinstance(self._vhosts, Management) else ""

    def url(self, vhost: str = "/") -> str:
        """Return the AMQP URL of a virtual host."""
        return in_vhost(self._amqp_url, vhost)

    def wait_until_it_greets(self, obituary: Callable[[], str]) -> None:
        """Wait for the first AMQP connection to open; `obituary` says why waiting is in vain, once it is.

        When it is, or after START_SECONDS, closes this broker and raises NoRabbit.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._greets():
            told = obituary() or (f"no answer in {START_SECONDS:g} s" if time.monotonic() > deadline else "")
            if told:
                self.close()
                raise NoRabbit(told)
            time.sleep(PAUSE_SECONDS)

    def _greets(self) -> bool:
        url = URL(self._amqp_url)
        if not listens(str(url.host), url.port or 5672):
            return False
        try:
            self._version = greet(self._amqp_url)
        except NoRabbit:
            return False
        return True

    def new_vhost(self) -> str:
        """Return the AMQP URL of a new and empty virtual host, in which our user may do everything."""
        if self._vhosts is None:
            return self._amqp_url
        name = f"test-{uuid4().hex[:12]}"
        self._vhosts.create(name)
        self._made.append(name)
        return self.url(name)

    def forget_vhost(self, url: str) -> None:
        """Delete the virtual host of this URL, with all that is in it, if it was made here."""
        name = URL(url).path.removeprefix("/")
        if self._vhosts is not None and name in self._made:
            self._vhosts.delete(name)
            self._made.remove(name)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this broker; return what it printed. Raises NoRabbit where that cannot be done."""
        raise NoRabbit(f"{self.kind}: no rabbitmqctl reaches this broker, to do {' '.join(arguments)}")

    def start(self) -> None:
        """Bring a killed broker back with the disk it had. Raises NoRabbit where the broker is not ours."""
        raise NoRabbit(f"{self.kind}: this broker is not ours to start")

    def kill(self) -> None:
        """End the broker at once, as a power cut would. Raises NoRabbit where the broker is not ours."""
        raise NoRabbit(f"{self.kind}: this broker is not ours to kill")

    def freeze(self) -> None:
        """Let the broker fall silent with its connections open. Raises NoRabbit where the broker is not ours."""
        raise NoRabbit(f"{self.kind}: this broker is not ours to freeze")

    def thaw(self) -> None:
        """Let a frozen broker go on; one that is not frozen does so anyway."""

    def recover(self) -> None:
        """Undo `freeze` and `kill`, whichever of them was done; does nothing to a broker that is well."""

    def close(self) -> None:
        """Leave the broker as it was found."""
        if self._vhosts is not None:
            for name in self._made:
                self._vhosts.delete(name)
            self._vhosts.close()
        self._made.clear()


class Management:
    """Virtual hosts by RabbitMQ's HTTP API: milliseconds, where rabbitmqctl takes seconds."""

    def __init__(self, url: str, amqp_url: str) -> None:
        """Use the user of the AMQP URL. Opens no connection yet."""
        self.url = url
        self._user, password = credentials(amqp_url)
        self._client = httpx2.Client(base_url=url, auth=(self._user, password), timeout=ANSWER_SECONDS)

    def create(self, name: str) -> None:
        """Make one in which our user may do everything."""
        vhost, user = quote(name, safe=""), quote(self._user, safe="")
        self._ask("PUT", f"/api/vhosts/{vhost}", {})
        self._ask("PUT", f"/api/permissions/{vhost}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})

    def delete(self, name: str) -> None:
        """Delete one with all that is in it."""
        self._ask("DELETE", f"/api/vhosts/{quote(name, safe='')}", None)

    def close(self) -> None:
        """Close the HTTP connection."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Mapping[str, str] | None) -> None:
        try:
            self._client.request(method, path, json=body).raise_for_status()
        except httpx2.HTTPError as error:
            raise NoRabbit(f"{method} {path}: {error}") from error


class Ctl:
    """rabbitmqctl, and virtual hosts made with it. Each call takes about two seconds, to start Erlang."""

    def __init__(self, command: Sequence[str], amqp_url: str, **options: Any) -> None:
        """`options` go to subprocess.run: whom to run it as, and where."""
        self._command = command
        self._user, _ = credentials(amqp_url)
        self._options = options

    def run(self, *arguments: str) -> str:
        """Run it to its end and return what it printed. Raises NoRabbit, with its words, when it fails."""
        command = [*self._command, "--quiet", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, check=True, timeout=CTL_SECONDS, **self._options)
        except subprocess.CalledProcessError as error:
            raise NoRabbit(f"{' '.join(command)}: {error.stderr.decode()[-500:]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoRabbit(f"{' '.join(command)}: {error}") from error
        return str(done.stdout.decode())

    def create(self, name: str) -> None:
        """Make one in which our user may do everything."""
        self.run("add_vhost", name)
        self.run("set_permissions", "-p", name, self._user, ".*", ".*", ".*")

    def delete(self, name: str) -> None:
        """Delete one with all that is in it."""
        self.run("delete_vhost", name)

    def close(self) -> None:
        """Nothing is held open."""


def credentials(amqp_url: str) -> tuple[str, str]:
    """Return the user and password of an AMQP URL, with the protocol's defaults."""
    url = URL(amqp_url)
    return url.user or "guest", url.password or "guest"


def in_vhost(amqp_url: str, vhost: str) -> str:
    """Return the same URL for another virtual host."""
    url = URL(amqp_url)
    return str(url.with_path(f"/{quote(vhost, safe='')}", encoded=True).with_query(url.query))


def listens(host: str, port: int) -> bool:
    """Tell whether anything takes TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def greet(amqp_url: str) -> str:
    """Open and close an AMQP connection; return the broker's version. Raises NoRabbit when there is no answer.

    Works from any thread, also from one that has an event loop running, which it then blocks.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _greet(amqp_url)).result()


async def _greet(amqp_url: str) -> str:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await aiormq.connect(amqp_url)
            await connection.close()
    except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
        raise NoRabbit(f"{URL(amqp_url).host}:{URL(amqp_url).port}: {type(error).__name__} {error}") from error
    return str(connection.server_properties["version"])
