import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from support.mails import ADA, a_context, about_ada

from consumer_service.effects.webhook import open_webhook
from consumer_service.outcome import TemporaryFailure
from consumer_service.tasks.notify_operators import NotifyOperators
from shared.events import UserCreated

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CREATED = UserCreated(**about_ada(verification_id=uuid4()))


@pytest.fixture
async def task(receiver):
    async with open_webhook(receiver.url, "a secret that both sides know") as webhook:
        yield NotifyOperators(webhook=webhook)


async def test_operators_learn_who_registered_and_when_but_neither_name_nor_address(task, receiver):
    await task.run(CREATED, a_context(CREATED, message_id="0198-1", task=task.name, time=NOON))

    [request] = receiver.requests
    assert json.loads(request.body) == {
        "event": "user.created",
        "id": "0198-1",
        "time": "2026-11-21T12:00:00+00:00",
        "user_id": str(ADA),
    }
    assert request.headers["idempotency-key"] == "0198-1/NotifyOperators"


async def test_it_is_told_again_when_the_receiver_was_not_ready(task, receiver):
    receiver.answer(503, {"Retry-After": "60"})

    with pytest.raises(TemporaryFailure) as failure:
        await task.run(CREATED, a_context(CREATED))
    await task.run(CREATED, a_context(CREATED))

    assert failure.value.retry_after == timedelta(minutes=1)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_it_has_a_queue_of_its_own_beside_the_mail():
    assert NotifyOperators.queue == "notification"
    assert NotifyOperators.takes is UserCreated
