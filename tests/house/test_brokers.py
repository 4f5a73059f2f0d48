"""Which broker the tests get, and what that broker can be asked to do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from support.brokers import open_rabbit
from support.private_rabbit import PrivateRabbit, find_server
from support.rabbit import NoRabbit, Rabbit, greet, listens
from support.waiting import eventually
from yarl import URL

NOBODY_THERE = "amqp://guest:guest@127.0.0.1:1/%2F"


class RecordingRabbit(Rabbit):
    kind = "recording"

    def __init__(self) -> None:
        super().__init__(NOBODY_THERE, vhosts=None)
        self.closed = False

    def close(self) -> None:
        self.closed = True


def no_container() -> NoReturn:
    raise NoRabbit("no Docker here")


def test_docker_is_used_where_this_machine_has_no_binary():
    contained = RecordingRabbit()

    with open_rabbit({}, server=None, container=lambda: contained) as rabbit:
        assert rabbit is contained

    assert contained.closed


def test_docker_can_be_forced_where_this_machine_has_a_binary_and_a_url_is_given():
    environ = {"TIDINGS_TEST_BROKER": "docker", "TIDINGS_TEST_AMQP_URL": NOBODY_THERE}
    contained = RecordingRabbit()

    with open_rabbit(environ, server=Path("/bin/false"), container=lambda: contained) as rabbit:
        assert rabbit is contained


def test_without_any_broker_the_test_is_skipped_and_told_what_to_install():
    with (
        pytest.raises(pytest.skip.Exception, match="apt install rabbitmq-server"),
        open_rabbit({}, server=None, container=no_container),
    ):
        pass


@pytest.mark.parametrize("forced", ["", "local", "docker"])
def test_a_required_broker_that_is_missing_is_a_failure(forced):
    environ = {"TIDINGS_REQUIRE": "postgres,rabbitmq", "TIDINGS_TEST_BROKER": forced}

    with (
        pytest.raises(pytest.fail.Exception, match="no RabbitMQ"),
        open_rabbit(environ, server=None, container=no_container),
    ):
        pass


def test_a_given_broker_that_does_not_answer_is_a_failure_never_a_skip():
    environ = {"TIDINGS_TEST_AMQP_URL": NOBODY_THERE}

    with (
        pytest.raises(pytest.fail.Exception, match=r"127\.0\.0\.1:1"),
        open_rabbit(environ, server=None, container=no_container),
    ):
        pass


def test_a_node_that_does_not_start_is_a_failure_with_its_own_words():
    server = Path("/bin/false")

    with (
        pytest.raises(pytest.fail.Exception, match="/bin/false ended with 1"),
        open_rabbit({}, server=server, container=no_container),
    ):
        pass


def test_an_unknown_kind_of_broker_is_a_failure():
    with (
        pytest.raises(pytest.fail.Exception, match="podman"),
        open_rabbit({"TIDINGS_TEST_BROKER": "podman"}, server=None, container=no_container),
    ):
        pass


@pytest.mark.broker
def test_a_new_virtual_host_is_open_to_us_and_different_every_time(rabbitmq):
    first, second = rabbitmq.new_vhost(), rabbitmq.new_vhost()

    assert greet(first) == greet(second) == rabbitmq.version
    assert first != second or rabbitmq.kind == "url"


@pytest.mark.broker
def test_a_given_broker_gets_virtual_hosts_over_http_and_loses_them_in_the_end(rabbitmq):
    if not rabbitmq.management_url:
        pytest.skip("the broker under test has no HTTP API that we can reach")
    environ = {"TIDINGS_TEST_AMQP_URL": rabbitmq.url(), "TIDINGS_TEST_MANAGEMENT_URL": rabbitmq.management_url}

    with open_rabbit(environ, server=None, container=no_container) as given:
        made = given.new_vhost()
        greet(made)

    assert given.kind == "url"
    with pytest.raises(NoRabbit):
        greet(made)


@pytest.mark.broker
def test_a_given_broker_that_nothing_can_administer_is_used_as_it_is(rabbitmq):
    url = rabbitmq.new_vhost()
    environ = {"TIDINGS_TEST_AMQP_URL": url, "TIDINGS_TEST_MANAGEMENT_URL": "http://127.0.0.1:1"}

    with open_rabbit(environ, server=None, container=no_container) as given:
        assert given.new_vhost() == url
        with pytest.raises(NoRabbit, match="no rabbitmqctl"):
            given.ctl("list_vhosts")


@pytest.fixture
def server() -> Path:
    found = find_server()
    if found is None:
        pytest.skip("needs the rabbitmq-server binaries (Debian: apt install rabbitmq-server)")
    return found


@pytest.fixture
def node(server: Path) -> Iterator[PrivateRabbit]:
    node = PrivateRabbit(server)
    node.start()
    yield node
    node.close()


@pytest.mark.broker
@pytest.mark.long
def test_a_killed_node_comes_back_with_what_it_had_on_disk(node):
    vhost = node.new_vhost()

    node.kill()

    with pytest.raises(NoRabbit):
        greet(vhost)
    node.start()
    assert greet(vhost) == node.version
    assert URL(vhost).path.removeprefix("/") in node.ctl("list_vhosts")


STARTER = """
import sys, time
from pathlib import Path
from support.private_rabbit import PrivateRabbit
node = PrivateRabbit(Path(sys.argv[1]))
node.start()
print(node.url().rpartition(':')[2].partition('/')[0], flush=True)
time.sleep(600)
"""


@pytest.fixture
async def starter(server: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(server), env=environment, stdout=asyncio.subprocess.PIPE
    )
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


@pytest.mark.broker
@pytest.mark.long
async def test_a_node_dies_with_the_process_that_started_it_however_that_dies(starter):
    port = int(await asyncio.wait_for(starter.stdout.readline(), 60))
    assert listens("127.0.0.1", port)

    starter.send_signal(signal.SIGKILL)
    await starter.wait()

    await eventually(lambda: not listens("127.0.0.1", port), within=10)
