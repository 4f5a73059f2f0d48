from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from support.schedules import a_schedule, ticks_of

from producer_service.schedules.schedule import Missed
from producer_service.schedules.ticks import LOOKED_AT_ONCE, due, is_on_time, message_id, ticks_after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def on_the_wall(zone, cron, day):
    """The ticks of one local day, as the clock on the wall shows them, with its offset from UTC."""
    schedule = a_schedule(cron=cron, time_zone=zone)
    midnight = datetime.fromisoformat(day).replace(tzinfo=schedule.zone)
    tomorrow = midnight + timedelta(days=1)
    ticks = takewhile(lambda tick: tick < tomorrow, ticks_after(schedule, midnight - timedelta(seconds=1)))
    return [tick.astimezone(schedule.zone).strftime("%H:%M%z") for tick in ticks]


@pytest.mark.parametrize(
    ("zone", "cron", "day", "expected"),
    [
        # The clock goes forward: a fixed time that is skipped is made up for right after.
        (BERLIN, "30 2 * * *", "2026-03-29", ["03:00+0200"]),
        (BERLIN, "0,30 2,3 * * *", "2026-03-29", ["03:00+0200", "03:30+0200"]),
        (NEW_YORK, "30 2 * * *", "2026-03-08", ["03:00-0400"]),
        (LORD_HOWE, "15 2 * * *", "2026-10-04", ["02:30+1100"]),
        # It goes back: a fixed time that comes twice is kept the first time.
        (BERLIN, "30 2 * * *", "2026-10-25", ["02:30+0200"]),
        (NEW_YORK, "30 1 * * *", "2026-11-01", ["01:30-0400"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-05", ["01:45+1100"]),
        # What runs every so many minutes goes on evenly.
        (BERLIN, "*/30 1-3 * * *", "2026-03-29", ["01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200"]),
        (BERLIN, "*/30 2 * * *", "2026-10-25", ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]),
        (NEW_YORK, "*/30 1 * * *", "2026-11-01", ["01:00-0400", "01:30-0400", "01:00-0500", "01:30-0500"]),
        (LORD_HOWE, "*/15 2 * * *", "2026-04-05", ["02:00+1030", "02:15+1030", "02:30+1030", "02:45+1030"]),
        (LORD_HOWE, "*/15 2 * * *", "2026-10-04", ["02:30+1100", "02:45+1100"]),
        (LORD_HOWE, "*/30 1 * * *", "2026-04-05", ["01:00+1100", "01:30+1100", "01:30+1030"]),
    ],
)
def test_where_the_clock_is_turned_cron_keeps_its_rules(zone, cron, day, expected):
    assert on_the_wall(zone, cron, day) == expected


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        (BERLIN, "2026-03-29"),
        (BERLIN, "2026-10-25"),
        (NEW_YORK, "2026-03-08"),
        (NEW_YORK, "2026-11-01"),
        (LORD_HOWE, "2026-04-05"),
        (LORD_HOWE, "2026-10-04"),
    ],
)
@pytest.mark.parametrize(
    "cron",
    [
        "30 2 * * *",
        "0,30 1-3 * * *",
        pytest.param("*/10 * * * *", marks=pytest.mark.slow),
        "*/15 2 * * *",
        "0 */2 * * *",
    ],
)
def test_a_restart_at_any_moment_of_such_a_day_changes_no_tick(zone, day, cron):
    schedule = a_schedule(cron=cron, time_zone=zone)
    begin = datetime.fromisoformat(day).replace(tzinfo=schedule.zone).astimezone(UTC) - timedelta(hours=1)

    def until_the_next_day(after):
        return list(takewhile(lambda tick: tick <= begin + timedelta(hours=26), ticks_after(schedule, after)))

    uninterrupted = until_the_next_day(begin)

    assert uninterrupted
    for restart in (begin + number * timedelta(minutes=13, seconds=7.5) for number in range(30)):
        assert until_the_next_day(restart) == [tick for tick in uninterrupted if tick > restart]


def test_a_schedule_that_comes_once_a_year_finds_its_day_in_summer_and_winter_time():
    yearly = a_schedule(cron="*/30 12 1 7 *", time_zone=BERLIN)

    ticks = list(islice(ticks_after(yearly, NOON), 3))

    assert [tick.isoformat() for tick in ticks] == [
        "2027-07-01T10:00:00+00:00",
        "2027-07-01T10:30:00+00:00",
        "2028-07-01T10:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("missed", "fire"),
    [(Missed.SKIP, ["12:10"]), (Missed.LATEST, ["12:10"]), (Missed.ALL, ["12:06", "12:07", "12:08", "12:09", "12:10"])],
)
def test_what_was_missed_is_skipped_or_made_up_for_as_declared(missed, fire):
    found = due(a_schedule(missed=missed, most=5), NOON, NOON + timedelta(minutes=10, seconds=5))

    assert (ticks_of(found.fire), found.missed, found.through) == (fire, 10 - len(fire), NOON + timedelta(minutes=10))


@pytest.mark.parametrize(("missed", "fire"), [(Missed.SKIP, []), (Missed.LATEST, ["12:00"]), (Missed.ALL, ["12:00"])])
def test_only_the_latest_of_long_ago_makes_up_for_a_nightly_tick(missed, fire):
    nightly = a_schedule(cron="0 12 * * *", missed=missed, most=1)

    found = due(nightly, NOON - timedelta(days=3, hours=1), NOON + timedelta(hours=3))

    assert (ticks_of(found.fire), found.missed) == (fire, 4 - len(fire))
    assert found.through == NOON


def test_two_ticks_within_a_minute_are_both_on_time_whatever_is_declared():
    seconds = a_schedule(cron="*/20 * * * * *", missed=Missed.LATEST, most=1)

    found = due(seconds, NOON, NOON + timedelta(seconds=45))

    assert [tick.second for tick in found.fire] == [20, 40]
    assert found.missed == 0


def test_nothing_is_due_before_its_time_nor_when_the_clock_was_set_back():
    assert due(a_schedule(), NOON, NOON + timedelta(seconds=59)) is None
    assert due(a_schedule(), NOON, NOON - timedelta(days=1)) is None


def test_a_year_that_nobody_was_there_for_is_caught_up_with_in_bites_and_only_the_latest_fire():
    minutely, after, now = a_schedule(missed=Missed.ALL, most=3), NOON, NOON + timedelta(minutes=25_000, seconds=1)
    fired, missed, bites = [], 0, 0

    while found := due(minutely, after, now):
        fired, missed, bites, after = fired + list(found.fire), missed + found.missed, bites + 1, found.through

    assert fired == [now - timedelta(minutes=ago, seconds=1) for ago in (2, 1, 0)]
    assert (missed, bites) == (25_000 - 3, 1 + 25_000 // LOOKED_AT_ONCE)


def test_a_tick_is_on_time_for_a_minute():
    assert is_on_time(NOON, NOON + timedelta(minutes=1))
    assert not is_on_time(NOON, NOON + timedelta(minutes=1, seconds=1))


def test_a_tick_has_one_id_wherever_it_is_computed_and_no_other_tick_has_it():
    there = NOON.astimezone(a_schedule(time_zone=BERLIN).zone)

    ids = {
        message_id(a_schedule(name=name), at)
        for name in ("hello", "bye")
        for at in (NOON, there, NOON - NOON.resolution)
    }

    assert len(ids) == 4
    assert message_id(a_schedule(), NOON) == "14df90c5-d835-5737-8fc7-ccc0f05fb025"
