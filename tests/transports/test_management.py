import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.rabbit_admin import administering
from yarl import URL

from shared.backends.rabbitmq.management import Management
from shared.errors import BrokerUnavailable

BROKER = "amqp://ann:canary@127.0.0.1/tidings"


@pytest.fixture
def answering():
    """Start a server that answers everything with this status and body; return its URL."""
    started = []

    def answering(status, body):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield answering
    for server in started:
        server.shutdown()
        server.server_close()


async def test_a_place_where_nobody_listens_is_named():
    with pytest.raises(BrokerUnavailable, match=r"management API at 127\.0\.0\.1:1: .*refused"):
        await Management("http://127.0.0.1:1", BROKER).look()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"{}", "user 'ann' is refused; it needs the tag `management`"),
        (403, b"{}", "user 'ann' is refused"),
        (404, b"{}", "answered 404 to exchanges/tidings"),
        (500, b"{}", "answered 500 to exchanges/tidings"),
        (200, b"<html>", "Expecting value"),
        (200, b'{"not": "a list"}', "its answer is not that of a RabbitMQ"),
        (200, b'[{"name": "x"}]', "its answer is not that of a RabbitMQ"),
    ],
)
async def test_an_answer_that_is_of_no_use_is_said_in_one_line_without_the_password(answering, status, body, said):
    with pytest.raises(BrokerUnavailable) as caught:
        await Management(answering(status, body), BROKER).look()

    assert said in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_server_that_takes_the_connection_and_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        management = Management(url, BROKER, answer_seconds=0.1)

        with pytest.raises(BrokerUnavailable, match="no answer before the deadline"):
            await management.look()


@pytest.mark.broker
async def test_a_user_with_the_tag_management_sees_one_virtual_host_and_as_much_of_the_broker_as_it_may(rabbitmq):
    with administering(rabbitmq, rabbitmq.new_vhost()) as admin:
        url = admin.add_user("looker", tags="management")
        try:
            management = Management(rabbitmq.management_url, url)
            live, condition = await management.look(), await management.condition()
        finally:
            admin.delete_user("looker")

    assert live.exchanges.keys() >= {"amq.direct", "amq.topic"}
    assert (live.queues, live.policies) == ({}, ())
    assert condition.version == rabbitmq.version
    assert condition.guest is True


@pytest.mark.broker
async def test_a_user_without_the_tag_is_told_what_it_needs(rabbitmq):
    with administering(rabbitmq, rabbitmq.new_vhost()) as admin:
        url = admin.add_user("blind")
        try:
            with pytest.raises(BrokerUnavailable, match="it needs the tag `management`"):
                await Management(rabbitmq.management_url, url).look()
        finally:
            admin.delete_user("blind")


@pytest.mark.broker
async def test_a_user_and_a_path_in_the_url_of_the_management_api_go_first(rabbitmq):
    broker = str(URL(rabbitmq.url()).with_user("nobody").with_password("nothing"))
    own = str(URL(rabbitmq.management_url).with_user("guest").with_password("guest").with_path("/"))

    assert "amq.topic" in (await Management(own, broker).look()).exchanges
