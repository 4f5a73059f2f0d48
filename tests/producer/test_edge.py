import asyncio

import pytest
import structlog
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from support.clients import asking

from producer_service.edge import CORRELATION, Bounded, Correlated, Observed, travel_of
from producer_service.metrics import Metrics
from producer_service.problems import install

LARGEST = 100
TRACE, PARENT = "a" * 32, "b" * 16


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def client(registry):
    """Talk to a small app behind all three."""
    app = FastAPI()
    install(app)

    @app.post("/length")
    async def length(request: Request):
        return len(await request.body())

    @app.post("/deaf")
    async def deaf():
        return "did not listen"

    @app.get("/travel")
    async def travel(request: Request):
        found = await travel_of(request)
        return [found.correlation_id, found.traceparent, structlog.contextvars.get_contextvars()["correlation_id"]]

    @app.get("/fail/{word}")
    async def fail(word: str):
        raise ArithmeticError(word)

    @app.post("/roomy")
    async def roomy(request: Request):
        return len(await request.body())

    app.add_middleware(Bounded, largest=LARGEST, seconds=0.1, largest_for={"/roomy": 2 * LARGEST})
    app.add_middleware(Observed, metrics=Metrics(registry))
    app.add_middleware(Correlated)
    async with asking(app) as client:
        yield client


async def test_a_body_whose_length_is_declared_in_two_ways_is_refused(client):
    headers = {"Content-Length": "1", "Transfer-Encoding": "chunked"}

    response = await client.post("/length", content=b"x", headers=headers)

    assert (response.status_code, response.json()["type"]) == (400, "/problems/ambiguous-length")
    assert response.headers["Connection"] == "close"


async def test_a_body_at_the_limit_passes(client):
    assert (await client.post("/length", content=b"x" * LARGEST)).json() == LARGEST


@pytest.mark.parametrize("path", ["/length", "/deaf", "/nowhere"])
async def test_a_body_declared_too_large_is_refused_before_it_is_read(client, path):
    response = await client.post(path, content=b"x" * (LARGEST + 1))

    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")


async def test_a_path_may_have_a_limit_of_its_own(client):
    answers = [await client.post("/roomy", content=b"x" * size) for size in (2 * LARGEST, 2 * LARGEST + 1)]

    assert [answer.status_code for answer in answers] == [200, 413]


async def test_a_body_of_undeclared_length_is_refused_as_soon_as_it_is_too_large(client):
    sent = []

    async def endless():
        while True:
            sent.append(50)
            yield b"x" * 50

    response = await client.post("/length", content=endless())

    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")
    assert len(sent) < 10


async def test_a_body_that_comes_too_slowly_is_not_waited_for(client):
    async def dripping():
        for _ in range(30):
            yield b"x"
            await asyncio.sleep(0.05)

    response = await client.post("/length", content=dripping())

    assert (response.status_code, response.json()["type"]) == (408, "/problems/too-slow")


@pytest.mark.parametrize("declared", ["-1", "nonsense", "9" * 5000, "\u00b2"])
async def test_a_nonsensical_length_breaks_nothing(client, declared):
    response = await client.post("/length", content=b"x", headers={"content-length": declared.encode("latin-1")})

    assert response.status_code in {200, 413}


@pytest.mark.parametrize("given", ["c-1", "!" * 128, "order/66?a=b"])
async def test_a_fit_correlation_id_is_kept_and_returned(client, given):
    response = await client.get("/travel", headers={CORRELATION: given})

    assert response.headers[CORRELATION] == given
    assert response.json()[::2] == [given, given]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "\u00e4"])
async def test_an_unfit_correlation_id_is_replaced(client, given):
    response = await client.get("/travel", headers={CORRELATION: given.encode("latin-1")})

    assert response.headers[CORRELATION] == response.json()[0] != given


async def test_two_requests_have_different_correlation_ids(client):
    first, second = [await client.get("/travel") for _ in range(2)]

    assert first.headers[CORRELATION] != second.headers[CORRELATION]


@pytest.mark.parametrize("path", ["/nowhere", "/fail/now"])
async def test_a_failure_is_correlated_too(client, path):
    assert (await client.get(path, headers={CORRELATION: "c-1"})).headers[CORRELATION] == "c-1"


@pytest.mark.parametrize(
    ("given", "valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"01-{TRACE}-{PARENT}-00", True),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        ("", False),
    ],
)
async def test_only_a_valid_traceparent_is_handed_on(client, given, valid):
    response = await client.get("/travel", headers={"traceparent": given})

    assert response.json()[1] == (given if valid else None)


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/travel", {"route": "/travel", "method": "GET", "status": "200"}),
        ("GET", "/fail/canary", {"route": "/fail/{word}", "method": "GET", "status": "500"}),
        ("GET", "/nowhere/canary", {"route": "unmatched", "method": "GET", "status": "404"}),
        ("BREW", "/travel", {"route": "/travel", "method": "other", "status": "405"}),
    ],
)
async def test_requests_are_counted_under_labels_that_a_caller_cannot_multiply(client, registry, method, path, labels):
    await client.request(method, path)

    assert registry.get_sample_value("tidings_http_requests_total", labels) == 1
    timed = {name: labels[name] for name in ("route", "method")}
    assert registry.get_sample_value("tidings_http_request_seconds_count", timed) == 1
