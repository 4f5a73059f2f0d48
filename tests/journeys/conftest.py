"""The whole pair as real processes, on a real RabbitMQ, a real PostgreSQL, a real SMTP server and a real webhook."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import Service, Services, open_services
from support.smtp import SmtpCatcher, smtp_catcher
from support.webhooks import WebhookReceiver, webhook_receiver

SECRETS = {
    "TIDINGS_LINK_SECRET": "a-link-secret-of-at-least-32-characters",
    "TIDINGS_WEBHOOK_SECRET": "a-webhook-secret",
}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with open_services(tmp_path) as opened:
        yield opened


@dataclass
class World:
    """Everything outside our processes, and the processes."""

    services: Services
    smtp: SmtpCatcher
    webhook: WebhookReceiver
    producer_env: dict[str, str]
    consumer_env: dict[str, str]

    def prepare(self) -> None:
        self.services.run("producer_service", "migrate", env=self.producer_env)
        self.services.run("consumer_service", "migrate", env=self.consumer_env)

    def apply_topology(self) -> None:
        self.services.run("consumer_service", "topology", "apply", env=self.consumer_env)

    def api(self, *, relays: bool = True) -> Service:
        env = self.producer_env | {"TIDINGS_RELAY_IN_API": str(relays).lower(), "TIDINGS_DRAIN_SECONDS": "0"}
        return self.services.start("producer_service", "api", env=env)

    def relay(self) -> Service:
        env = self.producer_env | {"TIDINGS_DRAIN_SECONDS": "0"}
        return self.services.start("producer_service", "relay", env=env, port_variable="TIDINGS_RELAY_HTTP_PORT")

    def worker(self, *options: str) -> Service:
        return self.services.start("consumer_service", "worker", *options, env=self.consumer_env)


@pytest.fixture
async def outside() -> AsyncIterator[tuple[SmtpCatcher, WebhookReceiver]]:
    async with smtp_catcher() as smtp, webhook_receiver() as webhook:
        yield smtp, webhook


@pytest.fixture
async def databases(postgres) -> AsyncIterator[tuple[str, str]]:
    async with postgres.new_database() as producer, postgres.new_database() as consumer:
        yield producer, consumer


@pytest.fixture
def world(services: Services, outside, databases, rabbitmq) -> World:
    return a_world(services, outside, databases, rabbitmq.new_vhost())


def a_world(services: Services, outside, databases: tuple[str, str], broker_url: str) -> World:
    smtp, webhook = outside
    producer, consumer = databases
    consumer_env = {
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DATABASE_URL": consumer,
        "TIDINGS_MAIL_URL": smtp.url,
        "TIDINGS_MAIL_FROM": "Tidings <no-reply@example.org>",
        "TIDINGS_LINK_BASE_URL": "https://example.org",
        "TIDINGS_WEBHOOK_URL": webhook.url,
        **SECRETS,
    }
    link_secret = {"TIDINGS_LINK_SECRET": SECRETS["TIDINGS_LINK_SECRET"]}
    producer_env = {"TIDINGS_BROKER_URL": broker_url, "TIDINGS_DATABASE_URL": producer, **link_secret}
    return World(services, smtp, webhook, producer_env, consumer_env)
