import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from producer_service.models import OutboxRow, Status
from producer_service.selection import Selection

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def statement(selection):
    found = select(OutboxRow.id).where(*selection.conditions()).order_by(*selection.order())
    return str(found.compile(dialect=postgresql.dialect())).replace("outbox.", "")


def test_the_status_is_written_out_or_no_partial_index_would_be_used():
    assert "status = 'parked'" in statement(Selection(status=Status.PARKED))


@pytest.mark.parametrize(
    ("status", "column"),
    [
        (Status.PUBLISHED, "published_at"),
        (Status.DELAYED, "deliver_at"),
        (Status.CANCELLED, "cancelled_at"),
        (Status.PENDING, "recorded_at"),
        (Status.PARKED, "recorded_at"),
    ],
)
def test_times_are_those_that_matter_to_the_status_or_of_recording(status, column):
    said = statement(Selection(status=status, since=NOON, until=NOON))

    assert f"{column} >= " in said
    assert f"{column} < " in said


def test_what_is_not_given_does_not_narrow():
    assert statement(Selection(status=Status.PENDING)).count(" AND ") == 0
    assert (
        statement(Selection(status=Status.PENDING, event_id="1", type="a", aggregate="b", reason="c")).count(" = ") == 5
    )


def test_it_is_remembered_by_what_was_given():
    remembered = json.loads(str(Selection(status=Status.PUBLISHED, type="user.created", since=NOON)))

    assert remembered == {"status": "published", "type": "user.created", "since": "2026-11-22 12:00:00+00:00"}
