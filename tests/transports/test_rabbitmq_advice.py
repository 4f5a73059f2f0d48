"""Advice on a real broker: with its management API, and by AMQP alone."""

import re

import pytest
from support.builders import a_queue, a_topology

TOPOLOGY = a_topology()
MAIL = "consumer.mail"

pytestmark = pytest.mark.broker


async def test_what_an_operator_may_tune_is_no_difference_but_worth_a_word(held, admin):
    admin.set_policy("short", r"^consumer\.mail$", {"max-length": 1})

    assert await held.plan(TOPOLOGY) == []
    assert any("max-length to 1" in advice.text for advice in await held.advise(TOPOLOGY))


async def test_what_nobody_asked_for_is_advice_and_stays(held, admin):
    await held.apply(a_topology(a_queue("consumer.indexing")))
    admin.bind("domain.events", MAIL, "user.#")

    said = {str(advice).partition(",")[0] for advice in await held.advise(TOPOLOGY)}

    assert "queue consumer.mail: is bound to domain.events by 'user.#' too" in said
    assert "queue consumer.indexing: is made like ours" in said
    assert await held.apply(TOPOLOGY) == []


async def test_advice_knows_the_broker(seeing, rabbitmq, admin):
    admin.needs_a_broker_of_ours()

    said = [str(advice) for advice in await seeing.advise(TOPOLOGY)]

    assert any(line.startswith("user guest: can log in") for line in said)
    assert any(line.startswith(f"RabbitMQ {rabbitmq.version}") for line in said) == rabbitmq.version.startswith("3.")


async def test_by_amqp_advice_says_what_it_could_not_see(blind):
    *_, unseen = await blind.advise(TOPOLOGY)

    assert re.search(r"bindings, policies, .* were not seen", unseen.text)


async def test_what_the_next_broker_refuses_is_named_where_the_broker_keeps_a_list(held, admin, rabbitmq):
    admin.declare_queue("somebodys.queue", durable=False, queue_type="classic")

    said = [str(advice) for advice in await held.advise(TOPOLOGY) if advice.thing.startswith("deprecated feature")]

    keeps_a_list = not rabbitmq.version.startswith("3.")
    assert (
        any("transient_nonexcl_queues" in line and "RabbitMQ 4.3 refuses it" in line for line in said) is keeps_a_list
    )
