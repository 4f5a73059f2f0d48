"""The commands, as an operator gives them: what they print, and how they end."""

import socket
from dataclasses import replace

import pytest
from support.commands import run_consumer
from support.processes import open_services
from support.waiting import eventually

from consumer_service.queues import queue_name
from consumer_service.registry import TASKS

AWAY = {"TIDINGS_BROKER_URL": "amqp://guest:canary@127.0.0.1:1/", "TIDINGS_DATABASE_URL": "postgresql://127.0.0.1:1/"}
NOTIFICATION = {"TIDINGS_WEBHOOK_URL": "http://127.0.0.1:1/", "TIDINGS_WEBHOOK_SECRET": "a-webhook-secret"}

ARITHMETIC = (
    "ValueError: TIDINGS_PREFETCH: 9999 deliveries, 8 at a time, 15 s each, may take 18750 s, and the broker takes "
    "them back after TIDINGS_ACK_TIMEOUT_SECONDS=1800; lower the one or raise the other"
)

pytestmark = pytest.mark.slow


@pytest.fixture
def services(tmp_path):
    with open_services(tmp_path) as opened:
        yield opened


@pytest.fixture
def ended(tmp_path):
    """Run a command to its end; return its exit code and the lines it said."""

    def ended(*arguments, **env):
        ended = run_consumer(*arguments, env=AWAY | env, folder=tmp_path)
        return ended.code, ended.said

    return ended


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["worker"], {"TIDINGS_BROKER_URL": ""}, ["TIDINGS_BROKER_URL is not set"]),
        (
            ["worker"],
            {"TIDINGS_BROKER_URL": "memory://"},
            ["TIDINGS_BROKER_URL: memory:// lives in one process, so a worker of its own would never get a message"],
        ),
        (
            ["worker", "-q", "nope", "-q", "notification"],
            {},
            [
                "--queue: 'nope' is not one of mail, notification",
                "TIDINGS_WEBHOOK_URL is not set: the notification queue needs it",
                "TIDINGS_WEBHOOK_SECRET is not set: the notification queue needs it",
            ],
        ),
        (
            ["worker", "-c", "0"],
            {},
            ["TIDINGS_CONCURRENCY: Input should be greater than or equal to 1"],
        ),
        (["worker", "-q", "notification"], NOTIFICATION | {"TIDINGS_PREFETCH": "9999"}, [ARITHMETIC]),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why_in_clear_lines(ended, arguments, env, said):
    assert ended(*arguments, **env) == (2, said)


def test_a_port_that_is_taken_is_said_in_one_line(services):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = AWAY | NOTIFICATION | {"TIDINGS_HTTP_PORT": str(taken.getsockname()[1])}
        service = services.start("consumer_service", "worker", "-q", "notification", env=env, port_variable="UNUSED")
        code = service.process.wait(30)

    (line,) = service.said.splitlines()
    assert code == 2
    assert line.startswith(f"TIDINGS_HTTP_PORT: cannot listen on 127.0.0.1, port {env['TIDINGS_HTTP_PORT']}: ")


def test_a_database_that_cannot_be_migrated_is_said_in_one_line(ended):
    code, (line,) = ended("migrate")

    assert code == 1
    assert line.startswith("the database cannot be used: ")


def test_a_database_is_migrated_without_a_broker(ended, tmp_path):
    code, _ = ended("migrate", TIDINGS_BROKER_URL="", TIDINGS_DATABASE_URL=f"sqlite:///{tmp_path}/tidings.db")

    assert code == 0
    assert (tmp_path / "tidings.db").exists()


def test_the_tasks_are_shown_with_their_messages_queues_and_policies(ended):
    code, lines = ended("tasks")

    shown = [line.split()[:4] for line in lines]
    assert code == 0
    assert shown == [
        [task.takes.wire_type, task.__name__, queue_name(task.queue), str(task.guarantee)] for task in TASKS
    ]
    assert lines[0].endswith("9 attempts from 5 s, x5")


async def test_a_worker_whose_broker_and_database_are_away_lives_and_stops_when_it_is_told_to(services):
    service = services.start("consumer_service", "worker", "-q", "notification", env=AWAY | NOTIFICATION)

    await eventually(lambda: service.answers("/livez"), within=20)
    ready = await service.answers("/readyz")

    assert (ready, await service.stop()) == (False, 0)
    assert "canary" not in service.said


async def test_a_collector_whose_broker_and_database_are_away_lives_and_stops_when_it_is_told_to(services):
    service = services.start("consumer_service", "collector", env=AWAY, port_variable="TIDINGS_COLLECTOR_HTTP_PORT")

    await eventually(lambda: service.answers("/livez"), within=20)
    ready = await service.answers("/readyz")

    assert (ready, await service.stop()) == (False, 0)
    assert "canary" not in service.said


async def test_several_processes_answer_on_neighbouring_ports_and_leave_together(services):
    command = ["worker", "-q", "notification", "--processes", "2"]
    service = services.start("consumer_service", *command, env=AWAY | NOTIFICATION)
    neighbour = replace(service, port=service.port + 1)

    await eventually(lambda: service.answers("/livez"), within=30)
    await eventually(lambda: neighbour.answers("/livez"), within=30)

    assert await service.stop() == 0
    assert not await is_still_there(neighbour)


async def is_still_there(service) -> bool:
    """Whether somebody still listens on a port whose process has ended."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", service.port)) == 0
