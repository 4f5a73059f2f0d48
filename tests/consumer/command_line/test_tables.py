import json
import sys
from datetime import timedelta

import pytest
from support.dead_letters import MAIL, NOW, a_dead_message, buried

from consumer_service.command_line.tables import age, as_json, letters_table, table


class Terminal:
    def isatty(self):
        return True


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    lines = table(("ID", "QUEUE", "ERROR"), [(7, "consumer.mail", "busy"), (1234, "consumer.x", None)])

    assert lines == [
        "  ID  QUEUE          ERROR",
        "   7  consumer.mail  busy",
        "1234  consumer.x     -",
    ]


def test_a_terminal_gets_no_longer_lines_than_it_is_wide(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "12")

    assert table(("ERROR",), [("x" * 50,)]) == ["ERROR", f"{'x' * 11}…"]


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0s ago"),
        (timedelta(seconds=59), "59s ago"),
        (timedelta(minutes=59, seconds=59), "59m ago"),
        (timedelta(hours=23), "23h ago"),
        (timedelta(days=400), "400d ago"),
    ],
)
def test_an_age_is_in_the_largest_unit_that_fits(span, said):
    assert age(NOW - span, NOW) == said


async def test_a_dead_letter_is_one_line_without_what_may_be_private(engine):
    (letter,) = await buried(engine, a_dead_message(headers={"authorization": "canary"}))

    _, line = letters_table([letter], NOW)
    told = json.loads(as_json(letter, more=1))

    assert letter.message_id in line
    assert (told["queue"], told["state"], told["more"]) == (MAIL, "waiting", 1)
    assert told["body_hash"] == letter.body_hash.hex()
    assert told["last_died_at"] == letter.last_died_at.isoformat()
    assert not [secret for secret in ("canary", "ann@example.org") if secret in f"{line}{told}"]
