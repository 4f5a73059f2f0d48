from consumer_service.registry import TASKS
from consumer_service.tasks.notify_operators import NotifyOperators
from consumer_service.upcasters import Upcaster
from deploy.contracts.subscriptions import registered


def test_every_task_of_the_registry_is_a_subscription_in_its_order():
    assert list(dict.fromkeys(each.task for each in registered().subscriptions)) == [task.__name__ for task in TASKS]


def test_a_task_whose_family_has_a_queue_for_each_lane_listens_on_both():
    found = [each.queue for each in registered().subscriptions if each.task == "SendWelcomeMail"]

    assert found == ["consumer.mail", "consumer.mail.bulk"]


def test_a_subscription_says_what_the_task_says():
    (found,) = registered([NotifyOperators]).subscriptions

    assert (found.queue, found.wire_type, found.guarantee) == ("consumer.notification", "user.created", "at_least_once")
    assert found.meaning.startswith("Posts the new user's id")
    assert (found.timeout_seconds, found.attempts) == (15.0, 9)


def test_a_queue_brings_up_what_leads_to_its_own_tasks():
    useful = Upcaster("user.born", "user.created", dict)
    useless = Upcaster("order.made", "order.placed", dict)

    upcasting = registered([NotifyOperators], (useful, useless)).upcasting("consumer.notification")

    assert (upcasting.older("user.created"), upcasting.older("order.placed")) == (("user.born",), ())
