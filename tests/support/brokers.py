"""Which RabbitMQ the tests use: the one they are given, one of this machine's binaries, or one in a container.

- `TIDINGS_TEST_AMQP_URL` names one; `TIDINGS_TEST_MANAGEMENT_URL` its HTTP API, where that is not beside it.
- `TIDINGS_TEST_BROKER` forces one kind: `local` (this machine's binaries) or `docker`.
- Without any, tests are skipped, or fail where `TIDINGS_REQUIRE` lists `rabbitmq`. One that is named but does not
  answer, or is there but does not start, is always a failure.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from uuid import uuid4

import pytest
from support.docker_engine import engine_answers
from support.in_memory import memory
from support.private_rabbit import PrivateRabbit, find_server
from support.rabbit import Ctl, Management, NoRabbit, Rabbit, Vhosts, greet, in_vhost
from support.used import note
from yarl import URL

IMAGE = "rabbitmq:4-management"
REMEDY = "install RabbitMQ (Debian: apt install rabbitmq-server) or Docker, or set TIDINGS_TEST_AMQP_URL"


@pytest.fixture(scope="session")
def rabbitmq(pytestconfig: pytest.Config) -> Iterator[Rabbit]:
    """A RabbitMQ for the whole run; started only when a test asks for it."""
    private = partial(PrivateRabbit, within=memory())
    with open_rabbit(os.environ, server=find_server(), container=start_container, private=private) as rabbit:
        note(pytestconfig, "rabbitmq", f"{rabbit.version} ({rabbit.kind})")
        yield rabbit


@contextmanager
def open_rabbit(
    environ: Mapping[str, str],
    *,
    server: Path | None,
    container: Callable[[], Rabbit],
    private: Callable[[Path], PrivateRabbit] = PrivateRabbit,
) -> Iterator[Rabbit]:
    """Yield the broker that the environment asks for, ready to use, and leave nothing of ours behind.

    `server` is this machine's binary, if it has one, and `private` makes a node of it; `container` starts one, or
    raises NoRabbit.
    """
    rabbit = _choose(environ, server, container, private)
    try:
        yield rabbit
    finally:
        rabbit.close()


def _choose(
    environ: Mapping[str, str],
    server: Path | None,
    container: Callable[[], Rabbit],
    private: Callable[[Path], PrivateRabbit],
) -> Rabbit:
    forced, given = environ.get("TIDINGS_TEST_BROKER", ""), environ.get("TIDINGS_TEST_AMQP_URL", "")
    if forced not in {"", "local", "docker"}:
        pytest.fail(f"TIDINGS_TEST_BROKER is {forced!r}; it knows local and docker")
    try:
        if given and not forced:
            return GivenRabbit(given, environ.get("TIDINGS_TEST_MANAGEMENT_URL") or _beside(given))
        if server and forced != "docker":
            return _started(private(server))
    except NoRabbit as error:
        pytest.fail(str(error))
    try:
        return _refused() if forced == "local" else container()
    except NoRabbit as error:
        _give_up(environ, f"no RabbitMQ; {REMEDY} ({error})")


def _give_up(environ: Mapping[str, str], reason: str) -> NoReturn:
    if "rabbitmq" in environ.get("TIDINGS_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


def _started(rabbit: PrivateRabbit) -> Rabbit:
    rabbit.start()
    return rabbit


def _refused() -> NoReturn:
    raise NoRabbit("this machine has no rabbitmq-server")


def start_container() -> Rabbit:
    """Start a RabbitMQ 4 in a container. Raises NoRabbit when Docker is absent, or present but of no use."""
    try:
        from docker.errors import DockerException
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise NoRabbit("testcontainers is not installed") from error
    if not engine_answers():
        raise NoRabbit(f"no Docker engine answers that could run {IMAGE}")
    # We remove our container ourselves; the library's reaper would be one more image, with the engine's socket in it.
    testcontainers_config.ryuk_disabled = True
    try:
        container = DockerContainer(IMAGE).with_exposed_ports(5672, 15672).start()
    except (DockerException, OSError) as error:
        raise NoRabbit(f"Docker cannot run {IMAGE} ({type(error).__name__}: {error})") from error
    return ContainedRabbit(container)


class GivenRabbit(Rabbit):
    """A broker that somebody else runs. Its HTTP API makes virtual hosts, or rabbitmqctl does, or nobody may."""

    kind: ClassVar[str] = "url"

    def __init__(self, amqp_url: str, management_url: str) -> None:
        """Connect once. Raises NoRabbit when there is no answer."""
        greet(amqp_url)
        self._ctl = Ctl([shutil.which("rabbitmqctl") or "rabbitmqctl"], amqp_url)
        ways: tuple[Vhosts, ...] = (Management(management_url, amqp_url), self._ctl)
        super().__init__(amqp_url, next((way for way in ways if _serves(way, amqp_url)), None))

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl, where it is what makes our virtual hosts and so is known to reach this very broker."""
        return self._ctl.run(*arguments) if self._vhosts is self._ctl else super().ctl(*arguments)


def _serves(way: Vhosts, amqp_url: str) -> bool:
    """Make a virtual host and look for it: what answers on this machine need not be the broker we were given."""
    name = f"test-{uuid4().hex[:12]}"
    try:
        way.create(name)
        try:
            greet(in_vhost(amqp_url, name))
        finally:
            way.delete(name)
    except NoRabbit:
        way.close()
        return False
    return True


class ContainedRabbit(Rabbit):
    """A broker in a container of its own, which is removed in the end."""

    kind: ClassVar[str] = "docker"

    def __init__(self, container: Any) -> None:
        """Take a started container, and wait until it takes AMQP connections."""
        self._container = container
        super().__init__(*self._addresses())
        self.wait_until_it_greets(self._obituary)

    def _addresses(self) -> tuple[str, Management]:
        """Return where it is, which a restart may change."""
        host, port = self._container.get_container_host_ip(), self._container.get_exposed_port
        url = f"amqp://guest:guest@{host}:{port(5672)}/%2F"
        return url, Management(f"http://{host}:{port(15672)}", url)

    def start(self) -> None:
        """Bring a killed container back with the disk it had; its URLs may have changed."""
        self._container.get_wrapped_container().start()
        if self._vhosts is not None:
            self._vhosts.close()
        self._amqp_url, self._vhosts = self._addresses()
        self.wait_until_it_greets(self._obituary)

    def kill(self) -> None:
        """End the container at once."""
        self._container.get_wrapped_container().kill()

    def freeze(self) -> None:
        """Let every process of the container fall silent."""
        self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        """Let a frozen container go on."""
        if self._status == "paused":
            self._container.get_wrapped_container().unpause()

    def recover(self) -> None:
        """Undo `freeze` and `kill`."""
        self.thaw()
        if self._status != "running":
            self.start()

    @property
    def _status(self) -> str:
        self._container.get_wrapped_container().reload()
        return str(self._container.get_wrapped_container().status)

    def _obituary(self) -> str:
        return "" if self._status == "running" else f"the container is {self._status}"

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl inside the container."""
        answer = self._container.exec(["rabbitmqctl", "--quiet", *arguments])
        if answer.exit_code != 0:
            raise NoRabbit(f"rabbitmqctl {' '.join(arguments)}: {answer.output.decode()[-500:]}")
        return str(answer.output.decode())

    def close(self) -> None:
        """Remove the container, and all that was in it."""
        self._made.clear()
        super().close()
        self._container.stop()


def _beside(amqp_url: str) -> str:
    """Guess where a broker's HTTP API is."""
    url = URL(amqp_url)
    return f"https://{url.host}:15671" if url.scheme == "amqps" else f"http://{url.host}:15672"
