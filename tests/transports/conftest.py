"""Every test of the promise runs once on each transport; what a transport cannot do, it declares."""

import pytest
from support.builders import a_queue, a_topology

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
