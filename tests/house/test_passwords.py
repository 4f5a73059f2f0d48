"""Making the broker's users for production."""

import base64
import json

import pytest
from support.repository import read

from deploy.rabbitmq.passwords import main, salted_hash

USERS = ("PRODUCER", "CONSUMER", "COLLECTOR", "REPLAYER", "TOPOLOGY", "OPERATOR")


@pytest.fixture
def env(tmp_path):
    file = tmp_path / ".env"
    file.write_text(
        "# broker\n" + "".join(f"{user}_BROKER_PASSWORD='{user.lower()}-of-production'\n" for user in USERS)
    )
    return file


def test_the_hash_is_the_one_that_rabbitmq_documents():
    documented = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"

    assert salted_hash("test12", bytes.fromhex("908DC60A")) == documented


def test_each_hash_has_a_salt_of_its_own():
    assert salted_hash("test12") != salted_hash("test12")


def test_it_prints_the_definitions_with_your_passwords_and_changes_nothing_else(env, capsys):
    assert main([str(env)]) == 0

    printed, committed = json.loads(capsys.readouterr().out), json.loads(read("deploy/rabbitmq/definitions.json"))
    for user, old in zip(printed["users"], committed["users"], strict=True):
        salt = base64.b64decode(user["password_hash"])[:4]
        assert user["password_hash"] == salted_hash(f"{user['name']}-of-production", salt)
        assert user | {"password_hash": ""} == old | {"password_hash": ""}
    assert printed | {"users": []} == committed | {"users": []}


@pytest.mark.parametrize("unfit", ["", "short", "with:colon/and@sign-that-breaks-urls"])
def test_a_password_that_is_missing_short_or_breaks_a_url_is_refused_without_being_shown(env, capsys, unfit):
    env.write_text(env.read_text().replace("producer-of-production", unfit))

    assert main([str(env)]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "PRODUCER_BROKER_PASSWORD must be at least 16 letters and digits\n"


def test_without_a_file_it_explains_itself(capsys):
    assert main([]) == 2

    assert "RABBITMQ_DEFINITIONS" in capsys.readouterr().err
