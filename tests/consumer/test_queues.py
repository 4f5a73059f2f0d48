import pytest
from support.tasks import RecordingTask, WelcomeTask

from consumer_service.queues import by_family, queue_name, topology_of
from consumer_service.registry import TASKS
from consumer_service.task import Task
from consumer_service.upcasters import Upcaster
from shared.commands import SendMail
from shared.contracts import Lane
from shared.events import EVENTS
from shared.topology import matches, routing_key


class OrderMail(Task[SendMail]):
    queue = "mail"


class CampaignMail(Task[SendMail]):
    queue = "mail"
    lanes = (Lane.BULK,)


class MisplacedTask(Task[SendMail]):
    queue = "indexing"


class IndexUsers(RecordingTask):
    queue = "indexing"


def bindings(queue):
    return [(binding.exchange.name, binding.key) for binding in queue.bindings]


def test_a_family_is_served_from_a_queue_of_its_name():
    assert queue_name("mail") == "consumer.mail"


def test_a_queue_is_bound_to_what_its_tasks_take_and_to_every_command_for_its_family():
    (queue,) = topology_of([RecordingTask, WelcomeTask]).queues

    assert bindings(queue) == [
        ("domain.events", "user.created"),
        ("domain.events", "user.email_verified"),
        ("domain.tasks", "mail.#"),
        ("domain.events", "bulk.user.created"),
        ("domain.events", "bulk.user.email_verified"),
        ("domain.tasks", "bulk.mail.#"),
    ]


def test_a_family_has_a_queue_for_each_lane_that_any_of_its_tasks_wants():
    normal, bulk = topology_of([RecordingTask, CampaignMail]).queues

    assert (normal.name, bulk.name, bulk.dead) == ("consumer.mail", "consumer.mail.bulk", "consumer.mail.bulk.dead")
    assert bindings(normal) == [("domain.events", "user.created"), ("domain.tasks", "mail.#")]
    assert bindings(bulk) == [("domain.events", "bulk.user.created"), ("domain.tasks", "bulk.mail.#")]


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("tasks", [[RecordingTask, OrderMail], [RecordingTask, CampaignMail]])
def test_whatever_the_lane_each_message_reaches_one_queue_of_a_family(tasks, lane):
    queues = topology_of(tasks).queues

    for exchange, wire_type in (("domain.events", "user.created"), ("domain.tasks", "mail.send")):
        key = routing_key(wire_type, lane)
        reached = [
            queue
            for queue in queues
            if any(on == exchange and matches(pattern, key) for on, pattern in bindings(queue))
        ]
        assert len(reached) == 1


def test_a_command_for_the_family_needs_no_binding_of_its_own():
    (queue,) = topology_of([OrderMail]).queues

    assert bindings(queue) == [("domain.tasks", "mail.#"), ("domain.tasks", "bulk.mail.#")]


def test_each_family_has_one_queue_in_the_order_of_its_first_task():
    families = by_family([RecordingTask, IndexUsers, WelcomeTask])

    assert {family: list(tasks) for family, tasks in families.items()} == {
        "mail": [RecordingTask, WelcomeTask],
        "indexing": [IndexUsers],
    }
    assert [queue.name for queue in topology_of([RecordingTask, IndexUsers, WelcomeTask]).queues] == [
        "consumer.mail",
        "consumer.indexing",
    ]


def test_a_task_for_the_commands_of_another_family_would_never_get_one():
    with pytest.raises(ValueError, match=r"MisplacedTask is in family 'indexing' but takes the command 'mail.send'"):
        topology_of([MisplacedTask])


def test_somebody_listens_to_every_event():
    bound = {key for queue in topology_of(TASKS).queues for _, key in bindings(queue)}

    assert {event.wire_type for event in EVENTS} <= bound


def test_a_queue_is_bound_to_the_old_types_that_its_tasks_are_brought_up_from():
    steps = (Upcaster("user.born", "user.made", dict), Upcaster("user.made", "user.created", dict))

    (queue,) = topology_of([RecordingTask, WelcomeTask], steps).queues

    assert bindings(queue) == [
        ("domain.events", "user.created"),
        ("domain.events", "user.born"),
        ("domain.events", "user.made"),
        ("domain.events", "user.email_verified"),
        ("domain.tasks", "mail.#"),
        ("domain.events", "bulk.user.created"),
        ("domain.events", "bulk.user.born"),
        ("domain.events", "bulk.user.made"),
        ("domain.events", "bulk.user.email_verified"),
        ("domain.tasks", "bulk.mail.#"),
    ]


def test_an_old_command_for_the_family_needs_no_binding_either():
    (queue,) = topology_of([OrderMail], [Upcaster("mail.post", "mail.send", dict)]).queues

    assert bindings(queue) == [("domain.tasks", "mail.#"), ("domain.tasks", "bulk.mail.#")]
