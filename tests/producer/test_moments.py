from datetime import UTC, datetime, timedelta

import pytest

from producer_service.moments import moment, span

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        (" 7d ", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text, wanted):
    assert span(text) == wanted


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 days", "1e3s", "1234567s"])
def test_what_is_no_span_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="write 90s, 30m, 12h, 7d or 2w"):
        span(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2h", NOON - timedelta(hours=2)),
        ("2026-11-22T11:30", datetime(2026, 11, 22, 11, 30, tzinfo=UTC)),
        ("2026-11-22 11:30:15", datetime(2026, 11, 22, 11, 30, 15, tzinfo=UTC)),
        ("2026-11-22T11:30+01:00", datetime(2026, 11, 22, 10, 30, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_time_in_utc_unless_it_says_otherwise_or_so_long_ago(text, wanted):
    assert moment(text, NOON) == wanted


@pytest.mark.parametrize("text", ["yesterday", "11:30", "2026-13-01"])
def test_what_is_no_moment_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="is no moment; write 2026-11-22T14:30"):
        moment(text, NOON)
