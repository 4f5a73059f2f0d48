"""The outbox commands, as an operator gives them: what they print, and how they end."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from support.commands import run_command
from support.databases import on_sqlite

from producer_service.inspection import Inspection
from producer_service.models import Status

WHY = ("--why", "the broker lost its disk")

pytestmark = [on_sqlite, pytest.mark.slow]


@pytest.fixture
def outbox_says(tmp_path, database_url, engine):  # noqa: ARG001 - its tables
    """Run `outbox ...` with the database's URL and nothing else; return its exit code and the lines it said."""

    async def said(*arguments, **env):
        ours = {"TIDINGS_DATABASE_URL": database_url, "USER": "ada"}
        run = partial(run_command, "producer_service", "outbox", *arguments, env=ours | env, folder=tmp_path)
        ended = await asyncio.to_thread(run)
        return ended.code, ended.said

    return said


@pytest.fixture
def actions(engine):
    """What is on record: who, what, how many rows, why."""

    async def actions():
        return [(each.by, each.action, each.rows, each.why) for each in await Inspection(engine).actions(10)]

    return actions


@pytest.fixture
def published(recorded, change):
    async def published(count, ago=timedelta(hours=1)):
        ids = await recorded(*(uuid4() for _ in range(count)))
        await change(*ids, status=Status.PUBLISHED, published_at=datetime.now(UTC) - ago)
        return ids

    return published


async def test_what_waits_is_listed_parked_first(outbox_says, recorded, change):
    pending, parked = await recorded(uuid4(), uuid4())
    await change(parked, status=Status.PARKED, parked_reason="unroutable")

    code, (_, *lines) = await outbox_says("list")
    only, (_, line) = await outbox_says("list", "--status", "parked", "--reason", "unroutable", "--since", "1h")
    _, limited = await outbox_says("list", "--limit", "1")

    assert (code, only) == (0, 0)
    assert [each.split()[0] for each in lines] == [parked, pending]
    assert line.split()[:2] == [parked, "parked"]
    assert limited[-1] == "the first 1; there may be more"


async def test_a_list_is_there_for_programs_too(outbox_says, recorded):
    (event_id,) = await recorded()

    code, said = await outbox_says("list", "--json")

    assert (code, [each["id"] for each in json.loads("\n".join(said))]) == (0, [event_id])


async def test_a_message_is_shown_masked_and_revealed_for_a_reason_that_is_recorded(outbox_says, recorded, actions):
    (event_id,) = await recorded()

    code, masked = await outbox_says("show", event_id)
    refused = await outbox_says("show", event_id, "--reveal")
    revealed, clear = await outbox_says("show", event_id, "--reveal", "--why", "ticket 7")

    assert (code, revealed) == (0, 0)
    assert "ann@example.org" not in "\n".join(masked)
    assert "ann@example.org" in "\n".join(clear)
    assert refused == (2, ["--why: say why, for the record"])
    assert await actions() == [("ada", "reveal", 1, "ticket 7")]


async def test_a_message_that_is_not_there_is_trouble(outbox_says):
    assert await outbox_says("show", "never") == (1, ["never: never recorded, or purged"])


async def test_parked_messages_are_released(outbox_says, recorded, change, statuses, actions):
    one, *others = await recorded(*(uuid4() for _ in range(3)))
    await change(one, *others, status=Status.PARKED)

    first = await outbox_says("release", one, *WHY)
    rest = await outbox_says("release", *WHY, "--by", "grace")

    assert (first, rest) == ((0, ["1 released"]), (0, ["2 released"]))
    assert set(await statuses()) == {"pending"}
    assert await actions() == [("grace", "release", 2, WHY[1]), ("ada", "release", 1, WHY[1])]


async def test_a_delayed_message_is_listed_and_cancelled_once(outbox_says, recorded, change, statuses, actions):
    delayed, published = await recorded(uuid4(), uuid4())
    await change(delayed, status=Status.DELAYED, deliver_at=datetime.now(UTC) + timedelta(days=1))
    await change(published, status=Status.PUBLISHED, published_at=datetime.now(UTC))

    _, (_, line) = await outbox_says("list", "--status", "delayed")
    done = await outbox_says("cancel", delayed, *WHY)
    too_late = await outbox_says("cancel", published, *WHY)

    assert line.split()[:2] == [delayed, "delayed"]
    assert (done, too_late) == ((0, ["cancelled"]), (1, [f"{published}: published already"]))
    assert await statuses() == ["cancelled", "published"]
    assert await actions() == [("ada", "cancel", 1, WHY[1])]


async def test_published_messages_are_counted_then_published_again(outbox_says, published, statuses, actions):
    await published(3)

    dry, counted = await outbox_says("republish", "--since", "2h", *WHY, "--dry-run")
    asked = await outbox_says("republish", "--since", "2h", *WHY)
    before = await statuses()
    code, said = await outbox_says("republish", "--since", "2h", *WHY, "--yes", TIDINGS_OPERATOR="grace")

    assert (dry, counted[-1], set(before)) == (0, "3 in all", {"published"})
    assert asked == (2, [*counted, "--yes: needed to publish again 3 messages where nobody can be asked"])
    assert (code, said[-1]) == (0, "3 to be published again")
    assert set(await statuses()) == {"pending"}
    assert await actions() == [("grace", "republish", 3, WHY[1])]


async def test_only_what_is_old_enough_is_purged(outbox_says, published, rows):
    await published(2, ago=timedelta(days=8))
    kept = await published(1)

    code, said = await outbox_says("purge", "--older-than", "7d", *WHY, "--yes")

    assert (code, said[-1]) == (0, "2 purged")
    assert [row.id for row in await rows()] == kept


async def test_parked_messages_are_purged_only_when_they_are_named(outbox_says, recorded, change, rows):
    (parked,) = await recorded()
    await change(
        parked, status=Status.PARKED, parked_reason="invalid", recorded_at=datetime.now(UTC) - timedelta(days=2)
    )

    spared = await outbox_says("purge", "--older-than", "1d", *WHY, "--yes")
    left = [row.id for row in await rows()]
    code, said = await outbox_says("purge", "--older-than", "1d", "--parked", "--reason", "invalid", *WHY, "--yes")

    assert (spared, left) == ((0, ["nothing"]), [parked])
    assert (code, said[-1], await rows()) == (0, "1 purged", [])


async def test_what_was_done_is_listed(outbox_says):
    await outbox_says("release", *WHY)

    code, (_, line) = await outbox_says("history")

    assert code == 0
    assert line.endswith(f'ada  release  0     {{"status": "parked"}}  {WHY[1]}')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--since", "yesterday"], "--since: 'yesterday' is no moment; write "),
        (["republish", "--since", "1h", "--until", "soon", *WHY], "--until: 'soon' is no moment; write "),
        (["purge", "--older-than", "long", *WHY], "--older-than: 'long' is no span of time; write "),
        (["purge", "--older-than", "1d", "--reason", "invalid", *WHY], "--reason: only parked messages have one"),
        (["release", "--why", " "], "--why: say why, for the record"),
    ],
)
async def test_wrong_use_is_said_in_one_line_that_names_the_option(outbox_says, arguments, said):
    code, (line,) = await outbox_says(*arguments)

    assert code == 2
    assert line.startswith(said)


@pytest.mark.parametrize("arguments", [["release"], ["republish", *WHY], ["purge", *WHY], ["list", "--status", "lost"]])
async def test_what_changes_something_needs_a_reason_and_a_bound(outbox_says, actions, arguments):
    code, _ = await outbox_says(*arguments)

    assert (code, await actions()) == (2, [])


async def test_a_database_that_is_away_is_trouble_said_in_one_line(outbox_says):
    code, (line,) = await outbox_says("list", TIDINGS_DATABASE_URL="postgresql://canary:canary@127.0.0.1:1/canary")

    assert code == 1
    assert "canary" not in line


@pytest.mark.parametrize(
    "command", [("republish", "--since", "2h"), ("purge", "--older-than", "0s")], ids=lambda each: each[0]
)
async def test_a_dry_run_needs_no_reason_and_leaves_no_record(outbox_says, published, actions, command):
    await published(2)

    dry, said = await outbox_says(*command, "--dry-run")
    code, refused = await outbox_says(*command, "--yes")

    assert (dry, said[-1]) == (0, "2 in all")
    assert (code, refused[-1]) == (2, "--why: say why, for the record")
    assert await actions() == []
