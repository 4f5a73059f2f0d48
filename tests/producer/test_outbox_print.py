import json
from datetime import UTC, datetime

import pytest
from support.builders import a_user_created, an_envelope

from producer_service.inspection import Action, Entry, Tally
from producer_service.outbox_print import as_json, shown, table, table_of_tallies
from shared.envelope import encode

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CANARY = encode(an_envelope(a_user_created(name="Canary")))


def an_entry(**changes):
    fields = {
        "id": "e-1",
        "status": "parked",
        "type": "user.created",
        "aggregateid": "u-1",
        "exchange": "domain.events",
        "correlationid": "c-1",
        "recorded_at": NOON,
        "published_at": None,
        "lane": 0,
        "deliver_at": None,
        "available_at": None,
        "attempts": 3,
        "parked_reason": "unroutable",
        "last_error": "unroutable: NO_ROUTE\nfor user.created",
    }
    return Entry(**(fields | changes))


def test_entries_stand_on_one_line_each_below_their_headings():
    headings, line, longer = table([an_entry(), an_entry(id="a-longer-id")], limit=50).splitlines()

    assert headings.split()[:3] == ["id", "status", "type"]
    assert line.split("  ")[0] == "e-1"
    assert line.index("parked") == longer.index("parked") == headings.index("status")
    assert line.endswith("unroutable: NO_ROUTE for user.created")


def test_a_list_that_is_full_says_so():
    assert table([an_entry()], limit=1).splitlines()[-1] == "the first 1; there may be more"


def test_actions_are_told_in_full():
    action = Action(NOON, "ada", "release", 3, '{"status": "parked"}', "bound again")

    _, line = table([action], limit=50).splitlines()

    assert line.split("  ")[0] == "2026-11-22 12:00:00+00:00"
    assert line.endswith('release  3     {"status": "parked"}  bound again')


def test_tallies_have_a_line_each_and_a_sum():
    lines = table_of_tallies([Tally("a.b", 10, NOON, NOON), Tally("c", 2, NOON, NOON)]).splitlines()

    assert [line.split()[:2] for line in lines] == [["10", "a.b"], ["2", "c"], ["12", "in"]]


@pytest.mark.parametrize("said", [table([], limit=5), table_of_tallies([])])
def test_nothing_is_said_to_be_nothing(said):
    assert said == "nothing"


def test_a_message_is_shown_masked_unless_it_is_revealed():
    assert "Canary" not in shown(an_entry(), CANARY, reveal=False)
    assert '"name": "Canary"' in shown(an_entry(), CANARY, reveal=True)


def test_what_is_no_json_is_revealed_as_it_is():
    assert "a canary" in shown(an_entry(), b"\xffa canary", reveal=True)


def test_programs_get_every_field():
    (entry,) = json.loads(as_json([an_entry()]))

    assert (entry["exchange"], entry["recorded_at"], entry["published_at"]) == (
        "domain.events", "2026-11-22 12:00:00+00:00", None,
    )  # fmt: skip
