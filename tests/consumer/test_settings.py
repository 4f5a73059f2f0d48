import os
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from consumer_service.settings import (
    ACK_MARGIN_SECONDS,
    NEEDED_BY,
    BrokerSettings,
    DatabaseSettings,
    Settings,
    load_settings,
)
from shared.contracts import Lane

BROKER, DATABASE = "amqp://guest:canary@127.0.0.1/", "postgresql://tidings:canary@127.0.0.1/tidings"
THIRTY_SECONDS = timedelta(seconds=30)


def some_settings(**changes):
    return Settings(**({"broker_url": BROKER, "database_url": DATABASE} | changes))


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing but the two settings without which there is no worker."""
    for name in [name for name in os.environ if name.startswith("TIDINGS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIDINGS_BROKER_URL", BROKER)
    monkeypatch.setenv("TIDINGS_DATABASE_URL", DATABASE)
    return monkeypatch


def refusal(capsys, **given):
    with pytest.raises(SystemExit) as ended:
        load_settings(Settings, **given)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_two_settings_are_enough():
    settings = load_settings(Settings)

    assert (settings.broker_url, settings.database_url) == (BROKER, DATABASE)
    assert (settings.concurrency, settings.apply_topology) == (8, False)


def test_a_migration_needs_no_broker_and_the_topology_needs_no_database(environment):
    environment.delenv("TIDINGS_BROKER_URL")
    database = load_settings(DatabaseSettings)
    environment.setenv("TIDINGS_BROKER_URL", BROKER)
    environment.delenv("TIDINGS_DATABASE_URL")
    broker = load_settings(BrokerSettings)

    assert (database.database_url, broker.broker_url, broker.management_url) == (DATABASE, BROKER, None)


@pytest.mark.parametrize("empty", [True, False])
def test_every_missing_setting_is_named_on_a_line_of_its_own(environment, capsys, empty):
    for name in ("TIDINGS_BROKER_URL", "TIDINGS_DATABASE_URL"):
        environment.setenv(name, "") if empty else environment.delenv(name)

    assert refusal(capsys) == ["TIDINGS_BROKER_URL is not set", "TIDINGS_DATABASE_URL is not set"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BROKER_URL", "http://127.0.0.1/", "must start with amqp:// or amqps://"),
        ("BROKER_URL", "amqps://127.0.0.1/?no_verify_ssl=1", "would accept any certificate"),
        ("BROKER_URL", "amqp://127.0.0.1:99999/", "Port out of range"),
        ("MANAGEMENT_URL", "127.0.0.1:15672", "must start with http:// or https://"),
        ("MANAGEMENT_URL", "http://", "must start with http:// or https://"),
        ("MANAGEMENT_URL", "http://127.0.0.1:port", "Port could not be cast"),
        ("DATABASE_URL", "mysql://127.0.0.1/tidings", "must start with postgresql:// or sqlite:///"),
        ("DATABASE_URL", "sqlite://", "SQLite needs a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "SQLite needs a file"),
        ("DATABASE_URL", "postgresql://127.0.0.1:port/tidings", "Port could not be cast"),
        ("CONCURRENCY", "0", "greater than or equal to 1"),
        ("CONCURRENCY", "many", "valid integer"),
        ("PREFETCH", "4", "TIDINGS_PREFETCH must be at least TIDINGS_CONCURRENCY"),
        ("ACK_TIMEOUT_SECONDS", "30", "greater than or equal to 120"),
        ("DRAIN_SECONDS", "-1", "greater than or equal to 0"),
        ("HTTP_PORT", "70000", "less than or equal to 65535"),
        ("COLLECTOR_HTTP_PORT", "70000", "less than or equal to 65535"),
        ("DEAD_LETTER_REPLAYABLE_DAYS", "0", "greater than or equal to 1"),
        ("INBOX_RETENTION_DAYS", "22", "must be at least TIDINGS_DEAD_LETTER_REPLAYABLE_DAYS + 2 = 23"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LINK_SECRET", "canary", "at least 32"),
        ("WEBHOOK_SECRET", "canary", "at least 16"),
        ("SECRETS_DIR", "/nowhere", "there is no such directory"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_is_wrong(environment, capsys, name, value, said):
    environment.setenv(f"TIDINGS_{name}", value)

    (line,) = refusal(capsys)

    assert line.startswith(f"TIDINGS_{name}")
    assert said in line


def test_the_inbox_remembers_for_longer_than_a_dead_letter_can_be_replayed():
    settings = some_settings(inbox_retention_days=9, dead_letter_replayable_days=7)

    assert (settings.inbox_retention, settings.replayable) == (timedelta(days=9), timedelta(days=7))


def test_what_is_given_on_the_command_line_goes_first_and_is_checked_too(environment, capsys):
    environment.setenv("TIDINGS_CONCURRENCY", "3")

    assert load_settings(Settings, concurrency=5).concurrency == 5
    assert refusal(capsys, concurrency=0) == ["TIDINGS_CONCURRENCY: Input should be greater than or equal to 1"]


def test_secrets_may_be_mounted_as_files(environment, tmp_path):
    (tmp_path / "tidings_link_secret").write_text("a secret of more than thirty-two characters\n")
    environment.setenv("TIDINGS_SECRETS_DIR", str(tmp_path))

    secret = load_settings(Settings).link_secret

    assert secret.get_secret_value() == "a secret of more than thirty-two characters"


def test_no_secret_shows_in_a_representation():
    secrets = {
        "mail_url": "smtp://ann:canary@mail.example.org",
        "link_secret": "canary" * 10,
        "webhook_url": "https://example.org/?key=canary",
        "webhook_secret": "canary" * 10,
    }

    assert "canary" not in repr(some_settings(**secrets))


@pytest.mark.parametrize(
    "wrong", [{"broker_url": "http://:canary@127.0.0.1"}, {"database_url": "mysql://:canary@127.0.0.1"}]
)
def test_no_secret_shows_in_an_error(wrong):
    with pytest.raises(ValidationError) as error:
        some_settings(**wrong)

    assert "canary" not in str(error.value)


def test_settings_do_not_change_while_a_worker_runs():
    with pytest.raises(ValidationError):
        some_settings().concurrency = 9


@pytest.mark.parametrize("family", NEEDED_BY)
def test_a_family_says_which_settings_it_misses_and_asks_for_no_others(family):
    missing = some_settings().missing_for((family,))

    assert missing == [f"TIDINGS_{name.upper()} is not set: the {family} queue needs it" for name in NEEDED_BY[family]]


def test_a_family_without_needs_misses_nothing():
    assert some_settings().missing_for(("indexing",)) == []


@pytest.mark.parametrize(
    ("changes", "task_seconds", "expected"),
    [
        ({}, 30, 250),
        ({"concurrency": 100}, 30, 400),
        ({}, 600, 16),
        ({}, 1740, 8),
        ({"prefetch": 40}, 30, 40),
        ({"prefetch": 464}, 30, 464),
    ],
)
def test_prefetch_keeps_workers_fed_but_never_outlives_the_ack_timeout(changes, task_seconds, expected):
    assert some_settings(**changes).prefetch_for(timedelta(seconds=task_seconds)) == expected


@pytest.mark.parametrize(("changes", "task_seconds"), [({"prefetch": 465}, 30), ({}, 1741)])
def test_a_prefetch_that_cannot_be_acked_in_time_is_refused_with_the_arithmetic(changes, task_seconds):
    with pytest.raises(
        ValueError, match=r"TIDINGS_PREFETCH: \d+ deliveries, 8 at a time, \d+ s each, may take"
    ) as said:
        some_settings(**changes).prefetch_for(timedelta(seconds=task_seconds))

    assert "TIDINGS_ACK_TIMEOUT_SECONDS=1800" in str(said.value)


@pytest.mark.slow
@given(
    concurrency=st.integers(1, 1000),
    prefetch=st.none() | st.integers(1, 65535),
    ack_timeout=st.integers(120, 100_000),
    task_seconds=st.floats(0.1, 100_000),
)
def test_whatever_is_allowed_the_last_delivery_held_is_acked_in_time(concurrency, prefetch, ack_timeout, task_seconds):
    assume(prefetch is None or prefetch >= concurrency)
    settings = some_settings(concurrency=concurrency, prefetch=prefetch, ack_timeout_seconds=ack_timeout)

    try:
        held = settings.prefetch_for(timedelta(seconds=task_seconds))
    except ValueError:
        return

    rounds = -(-held // concurrency)
    assert held >= concurrency
    assert rounds * timedelta(seconds=task_seconds).total_seconds() <= ack_timeout - ACK_MARGIN_SECONDS


def test_there_is_a_connection_for_everything_that_runs_at_once():
    settings = some_settings(concurrency=10, bulk_concurrency=3)

    assert settings.connections_for([Lane.NORMAL, Lane.NORMAL]) == 26
    assert settings.connections_for([Lane.NORMAL, Lane.BULK]) == 12 + 5 + 2


@pytest.mark.parametrize(
    ("changes", "bulk"), [({}, 2), ({"concurrency": 1}, 1), ({"concurrency": 100}, 25), ({"bulk_concurrency": 9}, 9)]
)
def test_bulk_has_a_quarter_of_the_concurrency_unless_it_is_said(changes, bulk):
    assert some_settings(**changes).concurrency_in(Lane.BULK) == bulk


@pytest.mark.parametrize(("changes", "held"), [({}, 116), ({"bulk_concurrency": 16}, 928), ({"concurrency": 400}, 116)])
def test_bulk_has_its_share_of_a_prefetch_that_was_given_and_never_less_than_it_works_on(changes, held):
    assert some_settings(prefetch=464, **changes).prefetch_for(timedelta(seconds=30), Lane.BULK) == held
