"""What an operator is told once a day: what went out, and what did not."""

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.models import OutboxRow, Status, written_out
from producer_service.schedules.schedule import Occasion
from shared.commands import SendMail

DAY = timedelta(days=1)


class OutboxDigest:
    """Writes the state of the outbox to one address.

    It comes on quiet days too: that it came shows that scheduler, outbox, relay, broker, worker and mail all work.
    """

    def __init__(self, *, to: str, time_zone: str) -> None:
        """`time_zone` is the one in which the reader's day begins."""
        self._to = to
        self._zone = ZoneInfo(time_zone)

    async def __call__(self, occasion: Occasion) -> SendMail:
        """Count by indexes: some tenths of a second per million rows."""
        counts = {status: await _count(occasion.session, status) for status in WAITING}
        published = await _published_since(occasion)
        day = occasion.tick.astimezone(self._zone).date().isoformat()
        subject = f"Outbox, {day}: {counts[Status.PARKED]} parked, {counts[Status.PENDING]} pending"
        lines = [
            f"{published} published in the 24 hours before.",
            *(WAITING[each].format(counts[each]) for each in WAITING),
        ]
        reasons = await _reasons(occasion.session) if counts[Status.PARKED] else []
        text = "\n".join([*lines, *(f"  {reason}: {count}" for reason, count in reasons)])
        return SendMail(to=self._to, variables={"subject": subject, "text": text})


WAITING = {
    Status.PENDING: "{} pending: they wait for the broker.",
    Status.DELAYED: "{} delayed: their moment has not come.",
    Status.PARKED: "{} parked: they wait for an operator.",
}


async def _count(session: AsyncSession, status: Status) -> int:
    return (await session.execute(select(func.count()).where(OutboxRow.status == written_out(status)))).scalar_one()


async def _published_since(occasion: Occasion) -> int:
    since = (OutboxRow.status == written_out(Status.PUBLISHED), OutboxRow.published_at >= occasion.tick - DAY)
    return (await occasion.session.execute(select(func.count()).where(*since))).scalar_one()


async def _reasons(session: AsyncSession) -> Sequence[tuple[str | None, int]]:
    parked = select(OutboxRow.parked_reason, func.count()).where(OutboxRow.status == written_out(Status.PARKED))
    counted = parked.group_by(OutboxRow.parked_reason).order_by(OutboxRow.parked_reason)
    return [(reason, count) for reason, count in await session.execute(counted)]
