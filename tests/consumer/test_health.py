import asyncio

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import OperationalError

from consumer_service.health import health_app
from shared.errors import SessionLost


async def passes():
    return "1 consumers, 0 messages waiting"


def fails_with(error):
    async def fails():
        raise error

    return fails


async def hangs():
    await asyncio.Event().wait()


def asking(*, checks=None, started=True, registry=None):
    app = health_app(
        checks=checks or {}, started=lambda: started, registry=registry or CollectorRegistry(), check_seconds=0.05
    )
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://worker")


async def test_is_ready_when_every_check_passes():
    async with asking(checks={"database": passes, "consumer.mail": passes}) as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["checks"]["consumer.mail"]["detail"] == "1 consumers, 0 messages waiting"


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (SessionLost("the broker sees no consumer on this queue"), "the broker sees no consumer on this queue"),
        (OperationalError("SELECT 'ann@example.org'", None, Exception()), "OperationalError"),
        (ConnectionRefusedError("10.0.0.7"), "ConnectionRefusedError"),
    ],
)
async def test_is_not_ready_when_one_check_fails_and_says_which_and_why(error, detail):
    async with asking(checks={"database": passes, "consumer.mail": fails_with(error)}) as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert answer.json()["checks"]["database"]["status"] == "ok"
    assert answer.json()["checks"]["consumer.mail"]["detail"] == detail


async def test_a_check_that_hangs_fails_at_its_deadline_and_the_others_are_told():
    async with asking(checks={"database": hangs, "consumer.mail": passes}) as client:
        answer = await client.get("/readyz")

    statuses = {name: check["status"] for name, check in answer.json()["checks"].items()}
    assert (answer.status_code, statuses) == (503, {"database": "failing", "consumer.mail": "ok"})


async def test_lives_whatever_is_away():
    async with asking(checks={"database": fails_with(ConnectionRefusedError())}, started=False) as client:
        answer = await client.get("/livez")

    assert answer.status_code == 200


@pytest.mark.parametrize(("started", "code", "status"), [(False, 503, "starting"), (True, 200, "ok")])
async def test_says_whether_it_has_started(started, code, status):
    async with asking(started=started) as client:
        answer = await client.get("/startupz")

    assert (answer.status_code, answer.json()) == (code, {"status": status})


async def test_shows_its_counts():
    registry = CollectorRegistry()
    Counter("tidings_things", "Things.", registry=registry).inc()

    async with asking(registry=registry) as client:
        answer = await client.get("/metrics")

    assert "tidings_things_total 1.0" in answer.text
