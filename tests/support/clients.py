"""Talking to an app without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI


@asynccontextmanager
async def asking(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Talk to an app as a server would let one: its errors are answers."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://producer.test") as client:
        yield client
