"""Everything this service says by the clock, on one screen: which schedule says what, and when.

| name            | when                            | says                                                      |
|-----------------|---------------------------------|-----------------------------------------------------------|
| `outbox-digest` | 07:00, in the operator's zone   | `mail.send`: what went out in a day, and what did not     |

To add one: what it says, a class or a function in `schedules/`, and one `Schedule(...)` below. Its name is what it is
known by: renamed, it is a new schedule that begins now.
"""

from producer_service.schedules.digest import OutboxDigest
from producer_service.schedules.schedule import Missed, Schedule


def declared(*, operator_mail: str | None, time_zone: str) -> tuple[Schedule, ...]:
    """Return the schedules that these settings allow: without an address there is nobody to write a digest to."""
    if operator_mail is None:
        return ()
    return (
        Schedule(
            name="outbox-digest",
            cron="0 7 * * *",
            time_zone=time_zone,
            says=OutboxDigest(to=operator_mail, time_zone=time_zone),
            missed=Missed.LATEST,
        ),
    )
