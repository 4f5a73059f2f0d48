import pytest
from yarl import URL

from shared.backends.rabbitmq.session import Session
from shared.errors import BrokerUnavailable

pytestmark = pytest.mark.broker


@pytest.fixture
def password_file(tmp_path):
    return tmp_path / "password"


@pytest.fixture
def url(rabbitmq, password_file):
    """Of a user whose password stands in a file."""
    return str(URL(rabbitmq.new_vhost()).with_password(None).update_query(password_file=str(password_file)))


async def test_a_password_is_read_from_its_file_for_each_connection(url, password_file):
    password_file.write_text("canary")
    with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED") as raised:
        await Session.open(url, name="test", confirms=False)
    assert "canary" not in str(raised.value)

    password_file.write_text("guest\n")

    session = await Session.open(url, name="test", confirms=False)
    await session.close()


async def test_a_session_that_has_ended_is_not_blocked(rabbitmq):
    session = await Session.open(rabbitmq.new_vhost(), name="test", confirms=True)

    await session.close()

    assert not session.blocked


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\xff", "not UTF-8")])
async def test_a_password_file_that_cannot_be_read_is_named_as_the_reason(url, password_file, content, said):
    if content is not None:
        password_file.write_bytes(content)

    with pytest.raises(BrokerUnavailable, match=f"the password_file cannot be read: {said}"):
        await Session.open(url, name="test", confirms=False)
