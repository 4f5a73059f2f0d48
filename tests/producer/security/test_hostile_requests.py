"""Bytes on a socket that no honest client sends: each gets a 4xx or a closed door, and the next request is served."""

import asyncio
import json
import socket

import httpx2
import pytest
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.databases import on_postgres, on_sqlite
from support.threaded import api_in_a_thread

from deploy.outside import serving
from producer_service.edge import Bounded
from producer_service.ingestion.issuing import Issuing
from producer_service.problems import install

pytestmark = pytest.mark.slow

POST = b"POST /v1/password-resets HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
GOOD = b'{"email":"ann@example.org"}'
MEGABYTE = b"x" * 1024 * 1024

HOSTILE = {
    "declared too large": POST + b"Content-Length: 99999999999\r\n\r\n",
    "declared absurdly": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "declared less than nothing": POST + b"Content-Length: -1\r\n\r\n" + GOOD,
    "declared twice": POST + b"Content-Length: 27\r\nContent-Length: 5\r\n\r\n" + GOOD,
    "smuggling": POST + b"Content-Length: 27\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + POST,
    "chunked without end": POST
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"10000\r\n"
    + b"x" * 65536
    + b"\r\n1\r\nx\r\n",
    "chunk of nonsense": POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n0\r\n\r\n",
    "chunk of absurd size": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 40 + b"\r\nx",
    "unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a header without end": POST + b"X-Long: " + MEGABYTE,
    "headers without end": POST + b"X-Many: 1\r\n" * 50_000,
    "a path without end": b"GET /" + MEGABYTE + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "line break in a header": POST + b"X-Correlation-ID: a\nX-Evil: b\r\nContent-Length: 2\r\n\r\n{}",
    "nul in a header": POST + b"X-Correlation-ID: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "no http at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
}

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("email", "password", "name", "locale", "purpose", "code", "token", "device")
NEARLY_RIGHT = {
    "email": "ann@example.org",
    "password": "correct horse",
    "locale": "en",
    "purpose": "x",
    "code": "123456",
    "token": "a.b.c",
}
PATHS = (
    "/v1/users",
    "/v1/email-verifications",
    "/v1/email-verifications/redeem",
    "/v1/password-resets/redeem",
    "/v1/verification-codes",
    "/v1/verification-codes/check",
    "/v1/sessions",
)


def answer_to(port: int, request: bytes) -> bytes:
    """Send bytes and return what comes back, until the other side closes or half a second passes."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        try:
            connection.sendall(request)
            return connection.recv(4096)
        except (ConnectionError, TimeoutError):
            return b""


@on_sqlite
def test_hostile_bytes_are_refused_and_the_next_request_is_served(engine, settings):
    assert engine
    with api_in_a_thread(settings) as port:
        answers = {name: answer_to(port, request) for name, request in HOSTILE.items()}
        last = answer_to(port, POST + b"Content-Length: 27\r\n\r\n" + GOOD)

    served = {name: answer for name, answer in answers.items() if answer and not answer.startswith(b"HTTP/1.1 4")}
    assert served == {}
    assert answers["declared too large"].startswith(b"HTTP/1.1 413")
    assert answers["smuggling"].startswith(b"HTTP/1.1 400")
    assert answers["smuggling"].count(b"HTTP/1.1") == 1
    assert b"Evil" not in b"".join(answers.values())
    assert last.startswith(b"HTTP/1.1 202")


@on_postgres
def test_no_json_is_too_odd_to_be_answered_with_less_than_500(engine, settings):
    assert engine
    with api_in_a_thread(settings) as port, httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:

        @hypothesis_settings(
            max_examples=150,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=3), st.booleans())
        def ask(path, changes, escaped):
            body = json.dumps(NEARLY_RIGHT | changes, ensure_ascii=escaped).encode(errors="surrogatepass")
            answer = client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500
            if answer.status_code == 422:
                assert all(error["pointer"].startswith("/") and error["detail"] for error in answer.json()["errors"])

        ask()


ATTRIBUTES = (
    "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "correlationid",
    "causationid", "traceparent", "tracestate", "deliverat", "lane", "data", "data_base64", "unheard",
)  # fmt: skip
AN_EVENT = {
    "specversion": "1.0",
    "id": "a-1",
    "source": "/shop",
    "type": "user.email_verified",
    "data": {"user_id": "01890000-0000-7000-8000-00000000000a", "email": "ann@example.org"},
}
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"


@on_postgres
async def test_no_event_is_too_odd_to_be_answered_with_less_than_500(engine, settings):
    key = await Issuing(engine).create("fuzz", types=["#"], sources=["/shop"], rate=0)

    def fuzz():
        with api_in_a_thread(settings) as port, httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            client.headers["Authorization"] = f"Bearer {key}"

            @hypothesis_settings(
                max_examples=300,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            )
            @given(st.dictionaries(st.sampled_from(ATTRIBUTES), ANY_JSON, max_size=3), st.booleans(), st.booleans())
            def send(changes, is_batch, escaped):
                event = AN_EVENT | changes
                body = json.dumps([event, AN_EVENT] if is_batch else event, ensure_ascii=escaped)
                answer = client.post(
                    "/v1/events:batch" if is_batch else "/v1/events",
                    content=body.encode(errors="surrogatepass"),
                    headers={"content-type": BATCHED if is_batch else STRUCTURED},
                )
                assert answer.status_code < 500, body
                if answer.status_code == 422:
                    assert all(error["pointer"].startswith("/") for error in answer.json()["errors"]), body

            send()

    await asyncio.to_thread(fuzz)


async def test_a_body_that_trickles_is_cut_off_in_time_over_a_socket():
    app = FastAPI()
    install(app)

    @app.post("/")
    async def length(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Bounded, largest=1000, seconds=0.2)

    async def trickle():
        yield b"x"
        await asyncio.sleep(0.5)  # The slow client itself: longer than it is granted.
        yield b"y"

    async with serving(app) as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.post("/", content=trickle())

    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/too-slow")
