"""The Compose file says what the services understand, and gives nobody more than they need."""

import json
import os
import re
from typing import Any

import pytest
from pydantic_settings import BaseSettings
from support.repository import docker, read

from consumer_service.settings import BrokerSettings
from consumer_service.settings import DatabaseSettings as ConsumerDatabaseSettings
from consumer_service.settings import Settings as ConsumerSettings
from producer_service.settings import ApiSettings, DatabaseSettings
from producer_service.settings import Settings as RelaySettings

ONE_SHOTS = {"migrate-producer", "migrate-consumer", "topology"}
OWN_HEALTH_CHECK = {"mailpit"}
SETTINGS: dict[str, type[BaseSettings]] = {"producer": ApiSettings, "consumer": ConsumerSettings}
RUN_BY: dict[str, type[BaseSettings]] = {
    "migrate-producer": DatabaseSettings,
    "migrate-consumer": ConsumerDatabaseSettings,
    "topology": BrokerSettings,
    "producer": ApiSettings,
    "relay": RelaySettings,
    "consumer": ConsumerSettings,
    "collector": ConsumerSettings,
}
"""The settings that each command reads."""


@pytest.fixture
def text() -> str:
    return read("docker-compose.yml")


@pytest.fixture(scope="module")
def services() -> Any:
    """The file as Compose itself understands it, with the defaults for development."""
    return json.loads(docker("compose", "--env-file", "/dev/null", "config", "--format", "json"))["services"]


def blocks(text: str) -> dict[str, str]:
    """Return the text of each service by its name."""
    _, _, body = text.partition("\nservices:\n")
    parts = re.split(r"^  ([\w-]+):$", body.partition("\nvolumes:\n")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("family", ["producer", "consumer"])
def test_every_variable_it_sets_is_a_setting_of_the_service_that_gets_it(text, family):
    fields = {f"TIDINGS_{name.upper()}" for name in SETTINGS[family].model_fields}

    given = {
        variable
        for block in blocks(text).values()
        if f"<<: *{family}\n" in block
        for variable in re.findall(r"^      (TIDINGS_\w+):", block, flags=re.MULTILINE)
    }

    assert given
    assert given <= fields


def test_every_variable_it_takes_is_explained_in_the_example(text):
    taken = set(re.findall(r"\$\{(\w+)", text))

    explained = set(re.findall(r"^#? ?(\w+)=", read(".env.example"), flags=re.MULTILINE))

    assert taken - explained == set()


def test_no_port_is_open_to_the_network(text):
    published = re.findall(r"ports: \[\"(.*)\"\]", text)

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", sorted(RUN_BY))
def test_the_environment_it_gives_loads_into_the_settings(services, monkeypatch, name):
    given = services[name]["environment"]
    for variable in [name for name in os.environ if name.startswith("TIDINGS_")]:
        monkeypatch.delenv(variable)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)

    loaded = RUN_BY[name]()

    assert loaded.model_fields_set == {variable.removeprefix("TIDINGS_").lower() for variable in given}


def test_consumers_can_be_scaled(services):
    consumer = services["consumer"]

    assert consumer["deploy"]["replicas"] == 2
    assert "ports" not in consumer
    assert "container_name" not in consumer


def test_workers_are_given_longer_to_stop_than_they_take_to_drain(services):
    grace = re.fullmatch(r"(\d+)s", services["consumer"]["stop_grace_period"])

    assert grace is not None
    assert int(grace[1]) >= ConsumerSettings.model_fields["drain_seconds"].default + 10


def test_everything_that_stays_up_has_a_health_check_and_comes_back(services):
    staying = {name: service for name, service in services.items() if name not in ONE_SHOTS}

    assert {name for name, service in staying.items() if "healthcheck" not in service} == OWN_HEALTH_CHECK
    assert {service["restart"] for service in staying.values()} == {"unless-stopped"}


def test_nothing_of_ours_may_write_or_gain_rights(services):
    for name in {*RUN_BY, "webhooks"}:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert "cap_add" not in services[name]

    assert all("no-new-privileges:true" in service["security_opt"] for service in services.values())


def test_services_wait_for_the_tables_and_queues_they_need(services):
    def awaited(name: str) -> set[str]:
        return {
            needed
            for needed, condition in services[name]["depends_on"].items()
            if condition["condition"] == "service_completed_successfully"
        }

    assert awaited("consumer") == awaited("collector") == {"migrate-consumer", "topology"}
    assert awaited("relay") == {"migrate-producer", "topology"}
    assert awaited("producer") == {"migrate-producer"}
