"""The schedule commands, as an operator gives them: what they print, and how they end."""

import asyncio
import json
from functools import partial

import pytest
from support.commands import run_command
from support.databases import on_sqlite

WHY = ("--why", "the mail server moves")

pytestmark = [on_sqlite, pytest.mark.slow]


@pytest.fixture
def schedule_says(tmp_path, database_url, engine):  # noqa: ARG001 - its tables
    """Run `schedule ...` with the least it needs; return its exit code and the lines it said."""

    async def said(*arguments, mail="ops@example.org"):
        ours = {"TIDINGS_DATABASE_URL": database_url, "USER": "ada", "TIDINGS_OPERATOR_TIME_ZONE": "Europe/Berlin"}
        env = ours | {"TIDINGS_OPERATOR_MAIL": mail}
        run = partial(run_command, "producer_service", "schedule", *arguments, env=env, folder=tmp_path)
        ended = await asyncio.to_thread(run)
        return ended.code, ended.said

    return said


async def test_a_preview_shows_the_wall_and_utc_across_a_turn_of_the_clock(schedule_says):
    code, lines = await schedule_says("preview", "outbox-digest", "-n", "2", "--from", "2027-03-27T00:00")

    assert code == 0
    assert lines == [
        "2027-03-27 07:00:00+01:00 CET  2027-03-27 06:00:00 UTC",
        "2027-03-28 07:00:00+02:00 CEST  2027-03-28 05:00:00 UTC",
    ]


async def test_a_schedule_is_paused_run_and_resumed_and_each_is_on_record(schedule_says, rows):
    paused = await schedule_says("pause", "outbox-digest", *WHY)
    code, lines = await schedule_says("list", "--json")
    _, (recorded,) = await schedule_says("run-now", "outbox-digest", *WHY, "--by", "grace")
    resumed = await schedule_says("resume", "outbox-digest", *WHY)
    _, (headings, *actions) = await schedule_says("history")

    (row,) = await rows()
    (listed,) = json.loads("\n".join(lines))
    assert (paused, code, resumed) == ((0, ["paused"]), 0, (0, ["resumed"]))
    assert (listed["name"], listed["next"], listed["when"]) == (
        "outbox-digest",
        "paused",
        "At 07:00 every day, Europe/Berlin",
    )
    assert (row.type, recorded) == ("mail.send", f"recorded {row.id}")
    assert headings.split()[:3] == ["at", "by", "action"]
    assert [action.split()[2:4] for action in actions] == [["ada", "resume"], ["grace", "run-now"], ["ada", "pause"]]


async def test_what_is_asked_wrongly_is_refused_with_what_there_is(schedule_says):
    code, (unknown,) = await schedule_says("run-now", "nightly", *WHY)
    none = await schedule_says("list", mail="")

    assert (code, unknown) == (2, "nightly: there is no such schedule; there is outbox-digest")
    assert none == (0, ["no schedule is declared; the digest of the outbox is, once TIDINGS_OPERATOR_MAIL is set"])
