import asyncio

import pytest
from support.clients_over_http import dead_letters, is_published, publish_over_http, register
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]


async def test_a_registration_becomes_a_mail_and_a_notification(world):
    world.prepare()
    world.apply_topology()
    worker, relay, api = world.worker(), world.relay(), world.api(relays=False)
    for service in (worker, relay, api):
        await service.is_ready()

    answer = await register(api, **{"X-Correlation-ID": "journey-1"})

    assert answer.status_code == 202
    event = answer.json()["event_id"]
    await eventually(lambda: world.smtp.mails and world.webhook.requests, within=15)
    await eventually(lambda: is_published(api, event), within=5)
    (mail,), (call,) = world.smtp.mails, world.webhook.requests
    assert mail["to"] == "ann@example.org"
    assert "https://example.org/verify-email?token=" in mail.get_body(("plain",)).get_content()
    assert call.headers["idempotency-key"] == f"{event}/NotifyOperators"
    assert "journey-1" in worker.said
    assert [await service.stop() for service in (api, relay, worker)] == [0, 0, 0]


@pytest.mark.long
async def test_no_log_line_of_any_process_holds_the_address_the_password_or_the_link(world):
    world.prepare()
    world.apply_topology()
    worker, api = world.worker(), world.api()
    for service in (worker, api):
        await service.is_ready()

    await register(api, email="canary@example.org")

    await eventually(lambda: world.smtp.mails, within=15)
    await asyncio.gather(worker.stop(), api.stop())
    for secret in ("canary", "correct horse", "token="):
        assert not [service.name for service in world.services.started if secret in service.said]


async def test_the_same_message_from_a_foreign_client_twice_is_one_mail(world, rabbitmq):
    if not rabbitmq.management_url:
        pytest.skip("the broker has no HTTP API to play the foreign client")
    world.prepare()
    world.apply_topology()
    worker = await world.worker("-q", "mail").is_ready()
    vhost = world.consumer_env["TIDINGS_BROKER_URL"].rpartition("/")[2]
    data = {"user_id": "01890000-0000-7000-8000-00000000000a", "email": "bob@example.org"}
    event = {"specversion": "1.0", "id": "node-1", "source": "/node", "type": "user.email_verified", "data": data}

    for _ in range(2):
        await publish_over_http(rabbitmq, vhost, event)

    await eventually(lambda: worker.said.count("delivery.duplicate") == 1, within=20)
    assert [mail["to"] for mail in world.smtp.mails] == ["bob@example.org"]


async def test_garbage_is_dead_lettered_with_a_reason_and_the_worker_lives_on(world, rabbitmq):
    if not rabbitmq.management_url:
        pytest.skip("the broker has no HTTP API to play the foreign client")
    world.prepare()
    world.apply_topology()
    worker, api = world.worker(), world.api()
    await worker.is_ready()
    await api.is_ready()
    vhost = world.consumer_env["TIDINGS_BROKER_URL"].rpartition("/")[2]

    await publish_over_http(rabbitmq, vhost, {"specversion": "1.0", "type": "user.created", "source": "/x"})
    await publish_over_http(rabbitmq, vhost, {"specversion": "1.0", "id": "1", "type": "user.vanished", "source": "/x"})
    await register(api)

    await eventually(lambda: world.smtp.mails, within=15)
    reasons = {message["properties"]["headers"]["tidings-reason"] for message in await dead_letters(rabbitmq, vhost)}
    assert reasons == {"invalid", "unknown_type"}
