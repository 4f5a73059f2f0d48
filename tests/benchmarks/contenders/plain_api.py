"""The ways of seed documents and tutorials: commit a user's row, then see to the mail without an outbox.

`background` hands the mail to BackgroundTasks, `inline` sends it before it answers, `publish` publishes an event
with a confirm before it answers. Passwords are not hashed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from uuid import uuid4

import aio_pika
import aiosmtplib
import uvicorn
from aio_pika.abc import AbstractExchange
from benchmarks.contenders.contract import Errand, read_errand
from benchmarks.contenders.message import as_json, events
from benchmarks.contenders.tables import PEER_USERS
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, EmailStr
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from shared.topology import DOMAIN_EVENTS

Announce = Callable[["Registration", BackgroundTasks], Awaitable[None]]


class Registration(BaseModel):
    """What our API takes, too."""

    email: EmailStr
    password: str
    name: str


class Inside:
    """What a request needs of the world outside, opened when the app starts."""

    exchange: AbstractExchange


def app_of(errand: Errand) -> FastAPI:
    """Return an app with one route, in the errand's way."""
    url = errand.database_url.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, pool_size=10, max_overflow=10)
    sessions, inside = async_sessionmaker(engine), Inside()
    announce = _ways(errand, inside)[errand.options["way"]]

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with await aio_pika.connect(errand.broker_url) as connection:
            channel = await connection.channel(on_return_raises=True)
            inside.exchange = await channel.get_exchange(DOMAIN_EVENTS.name, ensure=False)
            yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/users", status_code=202)
    async def register(registration: Registration, tasks: BackgroundTasks) -> dict[str, str]:
        user_id = uuid4()
        async with sessions() as session:
            row = {"id": user_id, "email": registration.email, "name": registration.name}
            await session.execute(PEER_USERS.insert().values(**row))
            await session.commit()
        await announce(registration, tasks)
        return {"status": "accepted", "id": str(user_id)}

    return app


def _ways(errand: Errand, inside: Inside) -> dict[str, Announce]:
    port = int(errand.options["smtp_port"])

    async def background(registration: Registration, tasks: BackgroundTasks) -> None:
        tasks.add_task(_send, port, registration.email)

    async def inline(registration: Registration, _tasks: BackgroundTasks) -> None:
        await _send(port, registration.email)

    async def publish(_registration: Registration, _tasks: BackgroundTasks) -> None:
        (event,) = events(1)
        body = as_json(event).body
        message = aio_pika.Message(body, message_id=event.id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await inside.exchange.publish(message, event.type)

    return {"background": background, "inline": inline, "publish": publish}


async def _send(port: int, address: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "no-reply@example.org", address, "Welcome"
    mail.set_content("Hello")
    await aiosmtplib.send(mail, hostname="127.0.0.1", port=port)


if __name__ == "__main__":
    given = read_errand()
    uvicorn.run(app_of(given), host="127.0.0.1", port=int(given.options["port"]), log_level="warning")
