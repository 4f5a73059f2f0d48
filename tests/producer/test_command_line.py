import pytest
import typer
from pydantic import SecretStr

from producer_service.command_line import on_database, refuse, run
from producer_service.settings import DatabaseSettings


@pytest.fixture
def settings(tmp_path):
    return DatabaseSettings(database_url=SecretStr(f"sqlite:///{tmp_path}/tidings.db"))


async def dialect(engine):
    return engine.dialect.name


async def raising(error):
    raise error


def test_what_the_work_returns_is_returned(settings):
    assert on_database(settings, dialect) == "sqlite"


def test_a_database_that_cannot_be_used_ends_in_one_line_and_code_1(settings, capsys):
    with pytest.raises(typer.Exit) as ended:
        run(settings, raising(ConnectionRefusedError("nobody there")))

    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "ConnectionRefusedError: nobody there\n"


def test_a_bug_is_not_swallowed(settings):
    with pytest.raises(ArithmeticError):
        run(settings, raising(ArithmeticError("nobody foresaw this")))


def test_wrong_use_ends_in_one_line_and_code_2(capsys):
    with pytest.raises(typer.Exit) as ended:
        refuse("--since: no")

    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "--since: no\n"
