"""Somebody stands in front of the broker who cannot prove to be it. Nobody falls back to less."""

import pytest
from support.builders import an_outgoing
from support.certificates import make_expired_certificate
from support.faultproxy import fault_proxy
from support.smtp import make_certificate
from yarl import URL

from shared.backends import open_transport
from shared.errors import BrokerUnavailable
from shared.transport import Fate

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@pytest.fixture
def broker(rabbitmq):
    return URL(rabbitmq.new_vhost())


async def publish_to(url):
    async with open_transport(str(url), name="test").publisher() as publisher:
        return await publisher.publish([an_outgoing()])


def at(broker, proxy, **query):
    return broker.with_scheme("amqps").with_host("127.0.0.1").with_port(proxy.port).update_query(**query)


async def test_a_broker_with_a_certificate_of_our_authority_is_trusted(broker, tmp_path):
    ours = make_certificate(tmp_path)
    async with fault_proxy(broker.host, broker.port, tls=ours.for_server()) as proxy:
        (receipt,) = await publish_to(at(broker, proxy, cafile=str(ours.certificate)))

    assert receipt.fate is not Fate.CONFIRMED
    assert "no exchange 'domain.events'" in receipt.detail


async def refusal_of(broker, certificate, **query):
    """Return why the broker was not trusted, once it is sure that it has been told nothing."""
    async with fault_proxy(broker.host, broker.port, tls=certificate.for_server()) as proxy:
        with pytest.raises(BrokerUnavailable) as raised:
            await publish_to(at(broker, proxy, **query))
    assert proxy.carried["to_server"] == 0
    return str(raised.value)


async def test_a_certificate_for_another_host_is_refused_and_the_check_named(broker, tmp_path):
    theirs = make_certificate(tmp_path, "DNS:elsewhere.example")

    assert "IP address mismatch" in await refusal_of(broker, theirs, cafile=str(theirs.certificate))


async def test_an_expired_certificate_is_refused_and_the_check_named(broker, tmp_path):
    theirs = make_expired_certificate(tmp_path)

    assert "certificate has expired" in await refusal_of(broker, theirs, cafile=str(theirs.certificate))


async def test_a_certificate_of_another_authority_is_refused_and_the_check_named(broker, tmp_path):
    theirs = make_certificate(tmp_path)

    assert "self-signed certificate" in await refusal_of(broker, theirs, heartbeat=10)


async def test_a_client_that_wants_encryption_does_not_speak_to_a_broker_without(broker):
    async with fault_proxy(broker.host, broker.port) as proxy:
        with pytest.raises(BrokerUnavailable):
            await publish_to(at(broker, proxy, heartbeat=10))


async def test_a_client_without_encryption_gets_nowhere_where_it_is_wanted(broker, tmp_path):
    theirs = make_certificate(tmp_path)
    async with fault_proxy(broker.host, broker.port, tls=theirs.for_server()) as proxy:
        with pytest.raises(BrokerUnavailable):
            await publish_to(at(broker, proxy, heartbeat=10).with_scheme("amqp"))

    assert proxy.carried["to_server"] == 0
