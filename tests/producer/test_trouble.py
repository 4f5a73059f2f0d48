import asyncpg
import pytest
import structlog
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from producer_service.backoff import Backoff
from producer_service.trouble import Trouble, describe


@pytest.fixture
def trouble():
    return Trouble(log=structlog.get_logger(), backoff=Backoff(first=1.0, most=30.0, least=0.5))


def test_a_spell_of_failures_is_logged_twice_however_long_it_is(trouble):
    with capture_logs() as lines:
        for _ in range(50):
            trouble.lasts("refused")
        trouble.ends()

    assert [line["event"] for line in lines] == ["relay.interrupted", "relay.resumed"]
    assert lines[1]["failures"] == 50


def test_whoever_is_in_trouble_is_named_in_the_log():
    trouble = Trouble(log=structlog.get_logger(), backoff=Backoff(1.0, 2.0), begins="timer.interrupted", ends="t.r")

    with capture_logs() as lines:
        trouble.lasts("refused")

    assert [line["event"] for line in lines] == ["timer.interrupted"]


def test_nothing_is_logged_while_there_is_no_trouble(trouble):
    with capture_logs() as lines:
        trouble.ends()
        trouble.ends()

    assert lines == []


def test_the_reason_can_be_read_until_the_trouble_ends(trouble):
    trouble.lasts("refused")
    during = trouble.reason
    trouble.ends()

    assert (during, trouble.reason) == ("refused", "")


def test_the_waits_grow_within_their_bounds(trouble):
    waits = [trouble.lasts("refused") for _ in range(20)]

    assert all(0.5 <= wait <= 30.0 for wait in waits)


def test_a_database_error_is_described_without_its_statement():
    error = DBAPIError("SELECT secret", {"a": "secret"}, asyncpg.PostgresError("too many\nDETAIL: secret"))

    assert describe(error) == "PostgresError: too many"
