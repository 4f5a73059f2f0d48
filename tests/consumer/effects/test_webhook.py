import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from consumer_service.effects.webhook import Webhook, open_webhook
from consumer_service.outcome import OutcomeUnknown, PermanentFailure, TaskFailure, TemporaryFailure

SECRET = "a secret that both sides know"
BODY = {"event": "user.created", "name": "艾达"}


@pytest.fixture(scope="module")
async def client():
    async with httpx2.AsyncClient(follow_redirects=True) as one:
        yield one


@pytest.fixture
def post(client):
    """Post by one client, because opening one takes longer than most tests."""

    async def posting(url, *, key="0198-1/NotifyOperators", answer_within=10.0):
        webhook = Webhook(url, SECRET, client=client, answer_within=timedelta(seconds=answer_within))
        await webhook.post("user.created", BODY, key)

    return posting


@pytest.fixture
def failure_of(post):
    """Post, and return how it failed, once it is sure that the failure gives neither address nor key away."""

    async def failing(url, **how):
        with pytest.raises(TaskFailure) as failure:
            await post(url, **how)
        assert "127.0.0.1" not in str(failure.value)
        assert "sesame" not in str(failure.value)
        assert failure.value.__cause__ is None
        assert failure.value.__suppress_context__ or failure.value.__context__ is None
        return failure.value

    return failing


async def test_a_notification_arrives_as_json_with_its_kind_and_its_key(receiver, post):
    await post(receiver.url)

    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/hooks/tidings?key=sesame")
    assert json.loads(request.body) == BODY
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-event"] == "user.created"
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == "0198-1/NotifyOperators"


async def test_the_receiver_can_check_the_signature(receiver, post):
    await post(receiver.url)

    [request] = receiver.requests
    webhook_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = webhook_id.encode() + b"." + timestamp.encode() + b"." + request.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["webhook-signature"] == f"v1={expected}"
    assert abs(datetime.now(UTC).timestamp() - int(timestamp)) < 5


async def test_every_attempt_carries_the_same_key(receiver, post, failure_of):
    receiver.answer(503)

    await failure_of(receiver.url)
    await post(receiver.url)

    assert len({request.headers["idempotency-key"] for request in receiver.requests}) == 1


async def test_a_key_that_no_header_could_hold_is_quoted(receiver, post):
    await post(receiver.url, key="a b\r\nc: 艾/NotifyOperators")

    assert receiver.requests[0].headers["webhook-id"] == "a%20b%0D%0Ac%3A%20%E8%89%BE/NotifyOperators"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_success(receiver, status, post):
    receiver.answer(status)

    await post(receiver.url)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_an_answer_that_may_change_is_tried_again(receiver, status, failure_of):
    receiver.answer(status)

    failure = await failure_of(receiver.url)

    assert isinstance(failure, TemporaryFailure)
    assert str(failure) == f"the webhook answered {status}"
    assert failure.retry_after is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422])
async def test_an_answer_that_will_not_change_is_final(receiver, status, failure_of):
    receiver.answer(status)

    failure = await failure_of(receiver.url)

    assert isinstance(failure, PermanentFailure)
    assert str(failure) == f"the webhook answered {status}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_final_and_not_followed(receiver, status, failure_of):
    receiver.answer(status, {"Location": receiver.url})

    failure = await failure_of(receiver.url)

    assert isinstance(failure, PermanentFailure)
    assert "redirects are not followed" in str(failure)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("value", "wait"),
    [("0", 0), ("120", 120), ("21600", 21600), ("21601", 21600), ("999999999", 21600)],
)
async def test_the_receivers_wish_in_seconds_is_followed_up_to_six_hours(receiver, value, wait, failure_of):
    receiver.answer(429, {"Retry-After": value})

    failure = await failure_of(receiver.url)

    assert failure.retry_after == timedelta(seconds=wait)


@pytest.mark.parametrize(
    ("ahead", "wait"),
    [
        (timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(days=3), timedelta(hours=6)),
        (-timedelta(1), timedelta()),
    ],
)
async def test_the_receivers_wish_as_a_date_is_followed_up_to_six_hours(receiver, ahead, wait, failure_of):
    receiver.answer(503, {"Retry-After": format_datetime(datetime.now(UTC) + ahead, usegmt=True)})

    failure = await failure_of(receiver.url)

    assert abs(failure.retry_after - wait) < timedelta(seconds=5)


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "9" * 5000, "Fri, 99 Foo 2026 99:99:99 GMT", "٣"])
async def test_a_wish_that_cannot_be_understood_is_none(receiver, value, failure_of):
    receiver.answer(503, {"Retry-After": value})

    failure = await failure_of(receiver.url)

    assert failure.retry_after is None


async def test_a_receiver_that_is_not_there_is_tried_again(unused_tcp_port, failure_of):
    failure = await failure_of(f"http://127.0.0.1:{unused_tcp_port}/?key=sesame")

    assert isinstance(failure, TemporaryFailure)
    assert "could not be reached" in str(failure)


@pytest.mark.slow
async def test_a_receiver_that_never_answers_leaves_the_outcome_unknown(receiver, failure_of):
    receiver.hang()

    failure = await failure_of(receiver.url, answer_within=0.2)

    assert isinstance(failure, OutcomeUnknown)
    assert "outcome unknown" in str(failure)
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_up_leaves_the_outcome_unknown(receiver, failure_of):
    receiver.drop()

    failure = await failure_of(receiver.url)

    assert isinstance(failure, OutcomeUnknown)


@pytest.mark.slow
async def test_a_receiver_that_answers_a_byte_at_a_time_cannot_outlast_the_deadline(receiver, failure_of):
    receiver.drip()

    failure = await failure_of(receiver.url, answer_within=0.3)

    assert isinstance(failure, OutcomeUnknown)


async def test_success_does_not_wait_for_a_body(receiver, post):
    receiver.answer(200, {"Content-Length": "1000000"})

    await post(receiver.url, answer_within=1.0)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "url", ["", "hooks.example.org", "ftp://hooks.example.org", "http://", "http://[::1/?key=sesame"]
)
async def test_an_address_that_cannot_be_posted_to_is_refused_at_the_start(url, post):
    with pytest.raises(ValueError, match="webhook URL") as refusal:
        await post(url)

    assert "sesame" not in str(refusal.value)


async def test_an_open_webhook_can_be_used_until_it_is_left(receiver):
    async with open_webhook(receiver.url, SECRET) as webhook:
        await webhook.post("user.created", BODY, "first")
        await webhook.post("user.created", BODY, "second")

    assert [request.headers["webhook-id"] for request in receiver.requests] == ["first", "second"]
    with pytest.raises(RuntimeError):
        await webhook.post("user.created", BODY, "third")


async def test_a_secret_that_could_be_guessed_is_refused_at_the_start():
    with pytest.raises(ValueError, match="at least 16"):
        async with open_webhook("http://hooks.example.org", "secret"):
            pass
