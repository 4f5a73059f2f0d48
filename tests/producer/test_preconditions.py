import pytest
from starlette.requests import Request

from producer_service.high_water import ROOM_SECONDS, HighWater
from producer_service.preconditions import require_json, room_in
from producer_service.problems import NOT_JSON, OUTBOX_FULL, Problem


def a_request(declared):
    return Request({"type": "http", "headers": [(b"content-type", declared.encode())]})


@pytest.mark.parametrize("declared", ["application/json", "Application/JSON; charset=utf-8"])
async def test_a_body_that_is_declared_as_json_may_come_in(declared):
    await require_json(a_request(declared))


@pytest.mark.parametrize("declared", ["", "text/plain", "application/x-www-form-urlencoded", "application/json5", "\0"])
async def test_any_other_body_may_not(declared):
    with pytest.raises(Problem) as refused:
        await require_json(a_request(declared))

    assert refused.value.kind is NOT_JSON


async def test_nothing_is_recorded_while_the_outbox_is_full_and_the_refusal_is_counted():
    refused = []
    high_water = HighWater(1, refused=lambda: refused.append(1))
    require_room = room_in(high_water)
    await require_room()
    high_water.observe(2)

    with pytest.raises(Problem) as problem:
        await require_room()

    assert problem.value.kind is OUTBOX_FULL
    assert problem.value.headers == {"Retry-After": str(ROOM_SECONDS)}
    assert refused == [1]
