from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.models import Status
from producer_service.schedules.digest import OutboxDigest
from producer_service.schedules.schedule import Occasion


async def test_the_digest_tells_what_went_out_and_what_did_not(engine, recorded, change):
    parked, other, published, long_ago, delayed, *_ = await recorded(*(uuid4() for _ in range(7)))
    now = datetime.now(UTC)
    await change(parked, other, status=Status.PARKED, parked_reason="unroutable")
    await change(published, status=Status.PUBLISHED, published_at=now - timedelta(hours=23))
    await change(long_ago, status=Status.PUBLISHED, published_at=now - timedelta(hours=25))
    await change(delayed, status=Status.DELAYED, deliver_at=now + timedelta(days=1))
    midnight = datetime(now.year, now.month, now.day, 23, 30, tzinfo=UTC)
    digest = OutboxDigest(to="ops@example.org", time_zone="Europe/Berlin")

    async with AsyncSession(engine) as session:
        at_night = await digest(Occasion(midnight, session))
        message = await digest(Occasion(now, session))

    assert (message.to, message.template) == ("ops@example.org", "message")
    assert message.variables["subject"].endswith(": 2 parked, 2 pending")
    assert message.variables["text"].splitlines() == [
        "1 published in the 24 hours before.",
        "2 pending: they wait for the broker.",
        "1 delayed: their moment has not come.",
        "2 parked: they wait for an operator.",
        "  unroutable: 2",
    ]
    assert (midnight + timedelta(days=1)).date().isoformat() in at_night.variables["subject"]
