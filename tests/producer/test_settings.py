import pytest

from producer_service.settings import ApiSettings, DatabaseSettings, Settings, load_settings, load_standalone_settings

BROKER = "amqp://tidings:canary@broker.example/tidings"
DATABASE = "postgresql://tidings:canary@database.example/tidings"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Set TIDINGS_ variables, beginning with a complete set and none of the machine's own."""
    import os

    for name in [name for name in os.environ if name.startswith("TIDINGS_")]:
        monkeypatch.delenv(name)

    def environment(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"TIDINGS_{name}", value)

    environment(BROKER_URL=BROKER, DATABASE_URL=DATABASE)
    return environment


@pytest.fixture
def refusal(capsys):
    """Load settings that must be refused; return the lines that say why."""

    def refusal(load=lambda: load_settings(Settings)):
        with pytest.raises(SystemExit) as caught:
            load()
        assert caught.value.code == 2
        return capsys.readouterr().err.splitlines()

    return refusal


def test_two_urls_are_enough():
    settings = load_settings(Settings)

    assert settings.broker_url.get_secret_value() == BROKER
    assert (settings.relay_in_api, settings.relay_batch_size, settings.outbox_retention_days) == (True, 500, 7)
    assert (settings.http_host, settings.http_port, settings.relay_http_port) == ("127.0.0.1", 8000, 8002)
    assert settings.event_source == "/tidings/producer"


def test_every_variable_that_is_missing_has_a_line_that_says_what_it_is(refusal, environment):
    environment(BROKER_URL="", DATABASE_URL="")

    assert refusal() == [
        "TIDINGS_DATABASE_URL is not set: postgresql://user:password@host/database, or sqlite:///path/to/file",
        "TIDINGS_BROKER_URL is not set: amqp://user:password@host/vhost, or amqps://",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "canary"),
        ("HTTP_PORT", "65536"),
        ("RELAY_BATCH_SIZE", "0"),
        ("RELAY_IN_API", "canary"),
        ("LOG_LEVEL", "canary"),
        ("LOG_FORMAT", "canary"),
        ("EVENT_SOURCE", "two words"),
        ("OUTBOX_RETENTION_DAYS", "-1"),
        ("OUTBOX_HIGH_WATER", "-1"),
        ("BROKER_URL", "http://canary"),
        ("BROKER_URL", "amqps://u:canary@h/?no_verify_ssl=1"),
        ("BROKER_URL", "amqps://u:canary@h/?no_verify_ssl"),
        ("DATABASE_URL", "mysql://canary"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable_and_not_the_value(
    refusal, environment, name, value
):
    environment(**{name: value})

    (line,) = refusal()

    assert line.startswith(f"TIDINGS_{name}: ")
    assert "canary" not in line


def test_all_problems_are_told_at_once(refusal, environment):
    environment(BROKER_URL="", HTTP_PORT="x", LOG_LEVEL="x")

    assert len(refusal()) == 3


def test_secrets_are_not_shown():
    settings = load_settings(Settings)

    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_secrets_may_be_mounted_as_files(environment, tmp_path):
    environment(BROKER_URL="", SECRETS_DIR=str(tmp_path))
    (tmp_path / "tidings_broker_url").write_text("amqp://from-a-file/\n")

    assert load_settings(Settings).broker_url.get_secret_value() == "amqp://from-a-file/"


def test_a_directory_of_secrets_that_is_not_there_is_refused(refusal, environment):
    environment(SECRETS_DIR="/nowhere/canary")

    assert refusal() == ["TIDINGS_SECRETS_DIR is not a directory"]


def test_a_process_of_its_own_cannot_use_a_broker_in_memory(refusal, environment):
    environment(BROKER_URL="memory://")

    (line,) = refusal(lambda: load_standalone_settings(Settings))

    assert line.startswith("TIDINGS_BROKER_URL is memory://")


def test_the_api_needs_the_link_secret_and_a_relay_does_not(refusal, environment):
    assert load_standalone_settings(Settings)

    (line,) = refusal(lambda: load_standalone_settings(ApiSettings))
    assert line.startswith("TIDINGS_LINK_SECRET is not set: ")

    environment(LINK_SECRET="canary" * 5)
    (line,) = refusal(lambda: load_standalone_settings(ApiSettings))
    assert line.startswith("TIDINGS_LINK_SECRET: ")
    assert "canary" not in line

    environment(LINK_SECRET="canary" * 6)
    settings = load_standalone_settings(ApiSettings)
    assert "canary" not in repr(settings)
    assert (settings.mails_per_address_and_hour, settings.sign_ins_per_address_and_hour) == (5, 10)
    assert settings.session_hours == 24


def test_a_migration_needs_no_broker(environment):
    environment(BROKER_URL="")

    assert load_settings(DatabaseSettings).database_url.get_secret_value() == DATABASE


def test_variables_of_other_services_are_none_of_ours(environment):
    environment(MAIL_URL="smtp://somewhere", LOG_LEVEL="debug")

    assert load_settings(Settings).log_level == "DEBUG"


def test_settings_do_not_change():
    settings = load_settings(Settings)

    with pytest.raises(Exception, match="frozen"):
        settings.http_port = 1
