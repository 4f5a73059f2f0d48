"""Every test of the promise runs once on each transport; what a transport cannot do, it declares."""

from collections.abc import Iterator

import pytest
from support.builders import a_queue, a_topology
from support.rabbit import Rabbit
from support.rabbit_admin import Admin, administering

from shared.backends.memory import MemoryTransport
from shared.backends.rabbitmq import RabbitTransport
from shared.topology import Topology
from shared.transport import Transport

TOPOLOGY = a_topology(a_queue("consumer.mail"), a_queue("consumer.notification"))


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.broker)])
def transport(request: pytest.FixtureRequest) -> Transport:
    if request.param == "memory":
        return MemoryTransport()
    return RabbitTransport(request.getfixturevalue("rabbitmq").new_vhost(), name="conformance")


@pytest.fixture
async def applied(transport: Transport) -> Transport:
    await transport.apply(TOPOLOGY)
    return transport


@pytest.fixture
def topology() -> Topology:
    return TOPOLOGY


@pytest.fixture
def admin(rabbitmq: Rabbit) -> Iterator[Admin]:
    """An operator of an empty virtual host."""
    with administering(rabbitmq, rabbitmq.new_vhost()) as admin:
        yield admin


@pytest.fixture
def seeing(rabbitmq: Rabbit, admin: Admin) -> RabbitTransport:
    """A transport that may ask the management API."""
    return RabbitTransport(admin.url, name="test", management_url=rabbitmq.management_url)


@pytest.fixture
def blind(admin: Admin) -> RabbitTransport:
    """A transport that sees what AMQP shows."""
    return RabbitTransport(admin.url, name="test")


@pytest.fixture
async def held(seeing: RabbitTransport) -> RabbitTransport:
    """A transport to a broker that holds what one queue needs, and that may ask the management API."""
    await seeing.apply(a_topology())
    return seeing
