"""The receiver that the Compose file puts where a real endpoint will be understands what our webhooks say."""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from consumer_service.effects.webhook import open_webhook
from consumer_service.outcome import PermanentFailure
from deploy.webhook_receiver import Receiver, judge

SECRET = "a-secret-that-both-sides-know"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TIDINGS_WEBHOOK_SECRET", SECRET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_notification_signed_with_the_shared_secret_is_taken_and_printed(receiver, capsys):
    async with open_webhook(receiver, SECRET) as webhook:
        await webhook.post("user.created", {"user_id": "u-1"}, "m-1/NotifyOperators")

    assert '"status": 204, "id": "m-1/NotifyOperators"' in capsys.readouterr().out


async def test_a_notification_signed_with_another_secret_is_refused(receiver):
    async with open_webhook(receiver, "some-other-secret-of-length") as webhook:
        with pytest.raises(PermanentFailure):
            await webhook.post("user.created", {"user_id": "u-1"}, "m-1/NotifyOperators")


@pytest.mark.parametrize(("age", "status"), [(0, 204), (299, 204), (-299, 204), (301, 401), (-301, 401)])
def test_a_notification_that_is_not_of_these_minutes_is_refused_although_it_is_signed(age, status):
    signature = hmac.new(SECRET.encode(), b"m-1.1000000.{}", hashlib.sha256).hexdigest()
    headers = {"webhook-id": "m-1", "webhook-timestamp": "1000000", "webhook-signature": f"v1={signature}"}

    assert judge(headers, b"{}", secret=SECRET.encode(), now=1_000_000 + age) == status
