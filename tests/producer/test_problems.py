import asyncio

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from support.clients import asking

from producer_service.passwords import Overloaded
from producer_service.problems import KINDS, NOT_FOUND, Problem, install


class Unforeseen(Exception):
    """Nobody thought of this."""


class Refusal(asyncpg.PostgresError):
    """PostgreSQL refuses with a code of its own."""

    def __init__(self, sqlstate):
        super().__init__("canary")
        self.sqlstate = sqlstate


@pytest.fixture
def answer_to():
    """Ask an app whose only route raises this error."""

    async def answer_to(error):
        app = FastAPI()
        install(app)

        @app.get("/")
        async def fail():
            raise error

        async with asking(app) as client:
            return await client.get("/")

    return answer_to


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Problem(NOT_FOUND), 404, "not-found"),
        (HTTPException(405), 405, "method-not-allowed"),
        (Overloaded("canary"), 503, "busy"),
        (OperationalError("canary", {}, Exception("canary")), 503, "database-unavailable"),
        (PoolTimeout("canary"), 503, "database-unavailable"),
        (ConnectionRefusedError("canary"), 503, "database-unavailable"),
        (TimeoutError("canary"), 503, "database-unavailable"),
        (DBAPIError("canary", {}, Refusal("57P03")), 503, "database-unavailable"),
        (DBAPIError("canary", {}, Refusal("42P01")), 503, "database-unavailable"),
        (DBAPIError("canary", {}, Refusal("22021")), 500, "internal"),
        (IntegrityError("canary", {}, Exception("canary")), 500, "internal"),
        (Unforeseen("canary"), 500, "internal"),
    ],
)
async def test_every_error_is_a_problem_that_says_no_more_than_its_kind(answer_to, error, status, slug):
    response = await answer_to(error)

    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{slug}")
    assert response.headers["content-type"] == "application/problem+json"
    assert "canary" not in response.text


async def test_a_problem_says_its_kind_title_and_status(answer_to):
    response = await answer_to(Problem(NOT_FOUND))

    assert response.json() == {"type": "/problems/not-found", "title": "There is nothing here", "status": 404}


@pytest.mark.parametrize("error", [Overloaded(), OSError()])
async def test_what_passes_is_worth_a_later_try(answer_to, error):
    assert (await answer_to(error)).headers["Retry-After"] == "5"


async def test_a_status_without_a_kind_is_still_a_problem(answer_to):
    response = await answer_to(HTTPException(418, headers={"X-Kept": "yes"}))

    assert (response.status_code, response.json()["type"]) == (418, "/problems/http-418")
    assert response.headers["X-Kept"] == "yes"


async def test_the_type_of_every_problem_can_be_looked_up():
    app = FastAPI()
    install(app)

    async with asking(app) as client:
        pages = await asyncio.gather(*(client.get(kind.type) for kind in KINDS))

    assert [page.status_code for page in pages] == [200] * len(KINDS)
    assert all(page.json()["meaning"] for page in pages)


async def test_a_problem_that_does_not_exist_is_not_found():
    app = FastAPI()
    install(app)

    async with asking(app) as client:
        assert (await client.get("/problems/nonsense")).status_code == 404
