"""What people and foreign services do to the pair, over HTTP: register, ask, and publish by RabbitMQ's own API."""

import json
from typing import Any

import httpx2
from support.processes import Service
from support.rabbit import Rabbit

from shared.contracts import Contract


async def register(api: Service, email: str = "ann@example.org", **headers: str) -> httpx2.Response:
    body = {"email": email, "password": "correct horse battery", "name": "Ann"}
    async with httpx2.AsyncClient(base_url=api.url, timeout=10) as client:
        return await client.post("/v1/users", json=body, headers=headers)


async def send_event(
    url: str, api_key: str, event: Contract, *, event_id: str | None = None, **headers: str
) -> httpx2.Response:
    """Send an event through the ingestion, as another service would; an underscore in a header's name is a hyphen."""
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    its_own = {"id": event_id} if event_id else {}
    body = {"type": event.wire_type, "data": event.model_dump(mode="json"), **its_own}
    async with httpx2.AsyncClient(base_url=url, timeout=10) as client:
        return await client.post("/v1/events", json=body, headers={"Authorization": f"Bearer {api_key}", **written})


async def status_of(api: Service, event: str) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=api.url, timeout=10) as client:
        return (await client.get(f"/v1/events/{event}")).json()


async def is_published(api: Service, event: str) -> bool:
    return (await status_of(api, event))["status"] == "published"


async def publish_over_http(rabbitmq: Rabbit, vhost: str, event: dict[str, Any]) -> None:
    body = {
        "routing_key": "user.email_verified" if event["type"] == "user.email_verified" else "user.created",
        "properties": {"content_type": "application/cloudevents+json"},
        "payload": json.dumps(event),
        "payload_encoding": "string",
    }
    async with management(rabbitmq) as client:
        answer = await client.post(f"/api/exchanges/{vhost}/domain.events/publish", json=body)
        assert answer.json() == {"routed": True}, answer.text


async def dead_letters(rabbitmq: Rabbit, vhost: str) -> list[dict[str, Any]]:
    query = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}
    async with management(rabbitmq) as client:
        return (await client.post(f"/api/queues/{vhost}/consumer.mail.dead/get", json=query)).json()


def management(rabbitmq: Rabbit) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=rabbitmq.management_url, auth=("guest", "guest"), timeout=10)
