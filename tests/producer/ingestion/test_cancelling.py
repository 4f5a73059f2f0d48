from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from support.databases import on_sqlite

from producer_service.models import OutboxAction, Status

TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def sent(send, change):
    """Send one event as the shop, and hold it until tomorrow; return its id."""

    async def sent(**changes):
        event_id = (await send()).json()["event_id"]
        await change(event_id, **({"status": Status.DELAYED, "deliver_at": TOMORROW} | changes))
        return event_id

    return sent


async def test_what_is_held_is_cancelled_by_whoever_may_send_its_like(sent, shop, statuses, engine):
    event_id = await sent()

    answers = [await shop.delete(f"/v1/events/{event_id}") for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert await statuses() == ["cancelled"]
    async with engine.connect() as connection:
        (action,) = (await connection.execute(select(OutboxAction.__table__))).all()
    assert (action.by, action.why) == ("api key of shop", f"DELETE /v1/events/{event_id}")


@on_sqlite
async def test_what_is_published_is_too_late_to_cancel(sent, shop, statuses):
    event_id = await sent(status=Status.PUBLISHED, published_at=datetime.now(UTC))

    answer = await shop.delete(f"/v1/events/{event_id}")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late")
    assert await statuses() == ["published"]


@on_sqlite
@pytest.mark.parametrize(
    ("scope", "status"),
    [({"types": ["order.*"]}, 404), ({"sources": ["/other"]}, 404), ({}, 204)],
)
async def test_to_a_key_that_could_not_have_sent_it_a_message_is_not_there(sent, shop, a_key, scope, status):
    event_id = await sent()
    shop.headers["Authorization"] = f"Bearer {await a_key('another', **scope)}"

    assert (await shop.delete(f"/v1/events/{event_id}")).status_code == status


@on_sqlite
async def test_nobody_cancels_without_a_key_nor_what_was_never_sent(sent, shop, statuses):
    event_id = await sent()

    assert (await shop.delete("/v1/events/never")).status_code == 404
    assert (await shop.delete("/v1/events/%00")).status_code == 404
    del shop.headers["Authorization"]
    assert (await shop.delete(f"/v1/events/{event_id}")).status_code == 401
    assert await statuses() == ["delayed"]
