import socket

import psutil
import pytest
from benchmarks.books import count_rows, declare, execute
from benchmarks.servers import Servers, listener
from support.rabbit import NoRabbit, greet


@pytest.fixture
def servers(rabbitmq, postgres) -> Servers:
    return Servers(rabbitmq, postgres, None)


@pytest.mark.broker
async def test_every_measurement_has_a_place_of_its_own_that_is_gone_afterwards(servers):
    async with servers.fresh_place() as place:
        await declare(place.broker_url)
        await execute(place.database_url, "CREATE TABLE load (id int)")
        assert place.database_url != place.second_database_url

    with pytest.raises(NoRabbit):
        greet(place.broker_url)
    async with servers.fresh_place() as another:
        assert another.broker_url != place.broker_url
        assert await count_rows(another.database_url, "pg_tables", "tablename = 'load'") == 0


@pytest.mark.broker
def test_it_says_what_was_measured_on(servers):
    assert servers.describe().startswith(f"RabbitMQ {servers.rabbit.version} (")
    assert "PostgreSQL" in servers.describe()


def test_the_process_behind_a_port_is_found_only_if_it_is_the_server_and_not_what_stands_before_it():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"amqp://127.0.0.1:{listening.getsockname()[1]}/"

        assert listener(url, psutil.Process().name()) == psutil.Process()
        assert listener(url, "docker-proxy") is None


def test_nobody_is_found_behind_a_port_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"amqp://127.0.0.1:{listening.getsockname()[1]}/"

    assert listener(url, psutil.Process().name()) is None
