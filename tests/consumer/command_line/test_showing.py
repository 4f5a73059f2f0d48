import json

import pytest

pytestmark = pytest.mark.slow


def test_groups_show_each_cause_with_its_count_the_largest_first_and_what_to_do_next(morning):
    ended = morning.run("groups")

    title, _, heads, first, *_ = ended.out
    assert (ended.code, title) == (0, "5 dead letters of 4 causes (replaying or waiting)")
    assert heads.split()[:4] == ["COUNT", "QUEUE", "FINGERPRINT", "REASON"]
    assert first.split()[:2] == ["2", "consumer.mail"]
    assert first.endswith("TemporaryFailure: the server is busy")
    assert ended.out[-2].startswith("next: python -m consumer_service dead-letters show ")
    assert ended.out[-1].endswith("--dry-run")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--queue", "mail"], 4),
        (["--queue", "consumer.notification"], 1),
        (["--type", "user.created"], 4),
        (["--reason", "permanent_failure"], 1),
        (["--fingerprint", "malformed"], 1),
        (["--since", "1h"], 5),
        (["--until", "1h"], 0),
        (["--since", "2026-01-01T00:00Z", "--limit", "2"], 2),
        (["--state", "discarded"], 0),
        (["--state", "all"], 5),
    ],
)
def test_a_list_holds_what_was_asked_for_and_no_body(morning, options, count):
    ended = morning.run("list", "--json", *options)

    rows = [json.loads(line) for line in ended.out]
    assert (ended.code, len(rows)) == (0, count)
    assert not any({"body", "headers", "diff"} & set(row) for row in rows)


def test_a_list_for_people_is_aligned_and_says_how_many_there_are_in_all(morning):
    ended = morning.run("list", "--limit", "2")

    assert ended.out[0] == "5 dead letters (replaying or waiting), the last 2 of them"
    _, _, heads, *rows = ended.out[:5]
    assert {line.index("consumer.") for line in rows} == {heads.index("QUEUE")}


def test_one_is_shown_with_its_story_and_without_anybodys_address(morning):
    ended = morning.run("show", "1")

    shown = "\n".join(ended.out)
    assert ended.code == 0
    assert "retries_exhausted on attempt 3: TemporaryFailure: the server is busy" in shown
    assert "runs again: the inbox has no trace of it" in shown
    assert '"email": "[masked: 15 characters]"' in shown
    assert "ann@example.org" not in shown


def test_a_body_is_revealed_to_whoever_says_why_and_that_is_audited(morning):
    ended = morning.run("show", "1", "--reveal", "--why", "a customer asks", "--by", "bob")

    assert "ann@example.org" in "\n".join(ended.out)
    assert morning.audit == [("reveal", "bob", "a customer asks", 1)]
