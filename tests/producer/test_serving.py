import asyncio
import os
import signal
import socket

import httpx2
import pytest
from fastapi import FastAPI
from support.waiting import eventually

from producer_service.serving import serve, stopped_by_signals


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def app():
    app = FastAPI()
    app.state.entered, app.state.go = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def now():
        return "here"

    @app.get("/slow")
    async def slow():
        app.state.entered.set()
        await app.state.go.wait()
        return "done"

    return app


@pytest.fixture
async def client(port):
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def answers(client):
    async def answers():
        try:
            return (await client.get("/")).status_code == 200
        except httpx2.ConnectError:
            return False

    return answers


@pytest.mark.slow
async def test_it_serves_until_it_is_told_to_stop(app, port, answers):
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve(app, host="127.0.0.1", port=port, stopping=stopping, drain_seconds=0))
    await eventually(answers)

    stopping.set()
    await asyncio.wait_for(serving, 5)

    assert not await answers()


@pytest.mark.slow
async def test_it_goes_on_serving_while_it_drains(app, port, answers):
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve(app, host="127.0.0.1", port=port, stopping=stopping, drain_seconds=0.5))
    await eventually(answers)

    stopping.set()
    await asyncio.sleep(0.2)
    during = await answers()
    await asyncio.wait_for(serving, 5)

    assert during


@pytest.mark.slow
async def test_a_request_in_progress_is_finished_after_the_stop(app, port, client, answers):
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve(app, host="127.0.0.1", port=port, stopping=stopping, drain_seconds=0))
    await eventually(answers)
    request = asyncio.create_task(client.get("/slow"))
    await app.state.entered.wait()

    stopping.set()
    asyncio.get_running_loop().call_later(0.3, app.state.go.set)
    await asyncio.wait_for(serving, 5)

    assert (await request).json() == "done"


async def test_a_port_that_is_taken_ends_the_process(app):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as caught:
        await serve(app, host="127.0.0.1", port=taken.getsockname()[1], stopping=asyncio.Event(), drain_seconds=0)

    assert caught.value.code == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_first_signal_asks_it_to_stop_and_a_second_one_has_its_usual_effect(number):
    stopping = asyncio.Event()
    before = signal.getsignal(number)

    with stopped_by_signals(stopping):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stopping.wait(), 5)
        during = signal.getsignal(number)

    assert (during, signal.getsignal(number)) == (signal.SIG_DFL, before)
