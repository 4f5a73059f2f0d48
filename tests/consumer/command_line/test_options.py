from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from consumer_service.command_line.dead_letters import dead_letters_cli
from consumer_service.command_line.options import Wanted, a_span, an_order, make_sure
from consumer_service.dead_letters.audit import Order
from consumer_service.dead_letters.looking import UNDECIDED, Filter
from consumer_service.lifecycle import State
from consumer_service.settings import Settings


def some_settings(**changes):
    return Settings(**({"broker_url": "amqp://127.0.0.1/", "database_url": "sqlite:////nowhere"} | changes))


def refusal(capsys, call):
    with pytest.raises(SystemExit) as ended:
        call()
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_what_is_not_asked_for_narrows_nothing():
    assert Wanted().filter() == Filter(states=UNDECIDED)


def test_a_family_is_a_queue_and_a_state_may_be_all():
    found = Wanted(queue="mail", state="all").filter()

    assert (found.queue, found.states) == ("consumer.mail", frozenset(State))


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("2026-11-22T08:00Z", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T08:00+05:45", datetime(2026, 11, 22, 2, 15, tzinfo=UTC)),
    ],
)
def test_a_moment_may_be_an_iso_time_of_any_zone_and_is_utc_without_one(since, expected):
    assert Wanted(since=since).filter().since == expected


def test_a_moment_may_be_so_long_ago():
    before = datetime.now(UTC) - timedelta(hours=12)

    found = Wanted(since="12h").filter().since

    assert before <= found <= datetime.now(UTC) - timedelta(hours=12) + timedelta(minutes=1)


def test_every_option_that_means_nothing_has_its_own_line(capsys):
    lines = refusal(capsys, Wanted(queue="male", since="soon", until="later", state="lost").filter)

    assert [line.partition(":")[0] for line in lines] == ["--queue", "--since", "--until", "--state"]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("45s", timedelta(seconds=45)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(30)),
    ],
)
def test_a_span_has_one_unit(text, span):
    assert a_span("--older-than", text) == span


@pytest.mark.parametrize("text", ["", "1", "d", "1h30m", "-1d", "1.5d", "9999999d"])
def test_anything_else_is_no_span(capsys, text):
    (line,) = refusal(capsys, lambda: a_span("--older-than", text))

    assert line.startswith("--older-than: ")


def test_who_asks_is_said_or_set_or_logged_in(monkeypatch):
    monkeypatch.setenv("LOGNAME", "carol")

    assert an_order("bob", "why", some_settings(operator="ann")) == Order("bob", "why")
    assert an_order(None, "why", some_settings(operator="ann")) == Order("ann", "why")
    assert an_order(None, "why", some_settings()) == Order("carol", "why")


@pytest.mark.parametrize("why", [None, "", "  \n"])
def test_nothing_is_changed_without_a_reason(capsys, why):
    (line,) = refusal(capsys, lambda: an_order("ann", why, some_settings()))

    assert line.startswith("--why is missing")


def test_a_reason_is_one_line_that_cannot_steer_a_terminal():
    assert an_order("ann", "a\n\x1b[2Jb", some_settings()).why == "a ?[2Jb"


def test_where_nobody_can_be_asked_it_must_have_been_said(capsys):
    make_sure("discard 7?", yes=True)

    (line,) = refusal(capsys, lambda: make_sure("discard 7?", yes=False))
    assert line == "--yes is missing, and nobody is here to be asked: discard 7?"


@pytest.mark.parametrize("command", [["show"], ["replay"], ["discard", "7"], ["edit"]], ids=lambda each: each[0])
@pytest.mark.parametrize("number", ["0", str(2**63)])
def test_a_number_that_no_dead_letter_can_have_is_refused_before_anybody_is_asked(command, number):
    ended = CliRunner().invoke(dead_letters_cli(), [*command, number])

    assert ended.exit_code == 2
    assert "or equal to" in ended.output
