from collections import Counter

import pytest

from consumer_service import registry
from consumer_service.dispatch import Dispatcher
from consumer_service.queues import by_family, queue_name
from consumer_service.registry import TASKS
from consumer_service.settings import Settings
from consumer_service.worker import open_tasks

FAMILIES = tuple(by_family(TASKS))
SETTINGS = Settings(
    broker_url="amqp://127.0.0.1/",
    database_url="sqlite:////nowhere/tidings.db",
    mail_url="smtp://127.0.0.1:25?tls=off",
    mail_from="Tidings <no-reply@example.org>",
    link_secret="a secret of more than thirty-two characters",
    link_base_url="https://app.example.org",
    webhook_url="http://127.0.0.1:9000/",
    webhook_secret="another secret of some length",
)


async def test_the_families_build_what_the_registry_lists_and_each_task_once():
    async with open_tasks(SETTINGS, FAMILIES) as tasks:
        built = [type(task) for task in tasks]

    assert Counter(built) == Counter(TASKS)
    assert set(Counter(built).values()) == {1}


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_family_builds_its_own_tasks_and_no_two_that_take_the_same_message(family):
    async with open_tasks(SETTINGS, [family]) as tasks:
        assert [type(task) for task in tasks] == by_family(TASKS)[family]
        assert len(Dispatcher(tasks).tasks) == len(tasks)


def test_the_page_lists_what_the_tuple_lists():
    rows = [line.strip("| ").split("|") for line in registry.__doc__.splitlines() if line.startswith("| `")]
    listed = [tuple(cell.strip("` ") for cell in row) for row in rows]

    assert listed == [(task.takes.wire_type, task.__name__, queue_name(task.queue)) for task in TASKS]


def test_no_two_tasks_share_the_name_under_which_they_are_remembered():
    assert len({task.__name__ for task in TASKS}) == len(TASKS)
