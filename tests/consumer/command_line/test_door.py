import pytest
import typer

from consumer_service.command_line.door import open_broker, run
from consumer_service.settings import BrokerSettings
from shared.errors import BrokerUnavailable


async def raising(error):
    raise error


async def answering(value):
    return value


def test_what_the_work_returns_is_returned():
    assert run(answering(7)) == 7


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("TIDINGS_PREFETCH: too much"), 2, "ValueError: TIDINGS_PREFETCH: too much\n"),
        (BrokerUnavailable("nobody answers"), 1, "BrokerUnavailable: nobody answers\n"),
        (ConnectionRefusedError("nobody there"), 1, "the database cannot be used: nobody there\n"),
    ],
)
def test_trouble_and_wrong_use_end_in_one_line_and_codes_of_their_own(capsys, error, code, said):
    with pytest.raises((SystemExit, typer.Exit)) as ended:
        run(raising(error))

    assert code == (ended.value.code if isinstance(ended.value, SystemExit) else ended.value.exit_code)
    assert capsys.readouterr().err == said


def test_a_bug_is_not_swallowed():
    with pytest.raises(ArithmeticError):
        run(raising(ArithmeticError("nobody foresaw this")))


@pytest.fixture
def environment(monkeypatch):
    def environment(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"TIDINGS_{name}", value)

    return environment


def test_a_broker_that_lives_in_one_process_is_refused(capsys, environment):
    environment(BROKER_URL="memory://")

    with pytest.raises(SystemExit) as ended:
        open_broker(BrokerSettings)

    assert ended.value.code == 2
    assert "lives in one process" in capsys.readouterr().err


def test_only_what_the_kind_of_settings_needs_must_be_there(environment):
    environment(BROKER_URL="amqp://127.0.0.1/", DATABASE_URL="")

    settings, transport = open_broker(BrokerSettings, {"management_url": "http://127.0.0.1:15672"})

    assert (settings.broker_url, settings.management_url) == ("amqp://127.0.0.1/", "http://127.0.0.1:15672")
    assert transport.capabilities.persistent
