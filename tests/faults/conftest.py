"""A broker that may be hurt, and a running pair of services beside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from support.composition import open_pair, open_scene
from support.pair import Pair, Scene
from support.processes import ROOT, Service, Services, open_services
from support.rabbit import Rabbit


@pytest.fixture
async def mortal(rabbitmq: Rabbit) -> AsyncIterator[Rabbit]:
    """The broker of this run, if it is ours to hurt; whole again afterwards, whatever the test did to it."""
    if rabbitmq.kind == "url" or not rabbitmq.management_url:
        pytest.skip("would hurt a broker that is not ours")
    yield rabbitmq
    await asyncio.to_thread(rabbitmq.recover)


@pytest.fixture
async def scene(mortal: Rabbit, postgres) -> AsyncIterator[Scene]:
    async with open_scene(mortal, postgres) as scene:
        yield scene


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with open_services(tmp_path) as opened:
        yield opened


@pytest.fixture
def doomed(scene: Scene, services: Services) -> Callable[..., Service]:
    """Start a service that ends itself at a point, such as `P3` or `C5:2`; `-` is a point that it never passes."""

    def start(service: str, point: str = "-", **env: str) -> Service:
        its_own = {"worker": scene.consumer_env, "collector": scene.collector_env}.get(service, scene.producer_env)
        port = "TIDINGS_RELAY_HTTP_PORT" if service == "relay" else "TIDINGS_HTTP_PORT"
        path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "TIDINGS_DOOM": point}
        return services.start("faults.doomed", service, env={**its_own, **path, **env}, port_variable=port)

    return start


@pytest.fixture
def open_here(scene: Scene) -> Callable[[], AbstractAsyncContextManager[Pair]]:
    """Run the pair in the scene, for a test that must do something before."""

    @asynccontextmanager
    async def open_here() -> AsyncIterator[Pair]:
        async with open_pair(scene) as pair:
            yield await pair.is_ready()

    return open_here


@pytest.fixture
async def pair(open_here: Callable[[], AbstractAsyncContextManager[Pair]]) -> AsyncIterator[Pair]:
    async with open_here() as pair:
        yield pair
