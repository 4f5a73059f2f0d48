"""The page for operators speaks of what is there, and of all of it."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.repository import ROOT, read

from consumer_service.command_line.topology import topology_cli
from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.metrics import ConsumerMetrics
from producer_service.api_keys_cli import api_keys_cli
from producer_service.high_water import HighWater
from producer_service.metrics import Metrics
from producer_service.outbox_cli import outbox_cli
from producer_service.schedule_cli import schedule_cli
from shared.topology import Remedy


class StandingRelay:
    running, interrupted_by, blocked, sessions = True, "", False, 1


@pytest.fixture(scope="module")
def page():
    return read("docs/operations.md")


def names_in(registry):
    """As Prometheus shows them: counters end with _total."""
    return {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in registry.collect()}


def producers():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.follow_high_water(HighWater(0, refused=list))
    metrics.follow_relay(StandingRelay())
    return names_in(registry)


def consumers():
    registry = CollectorRegistry()
    ConsumerMetrics(registry)
    return names_in(registry)


def collectors():
    registry = CollectorRegistry()
    DeadLetterMetrics(registry)
    return names_in(registry)


@pytest.mark.parametrize(
    ("heading", "there"), [("Producer", producers), ("Consumer", consumers), ("Collector", collectors)]
)
def test_every_metric_has_a_row_and_every_row_has_a_metric(page, heading, there):
    section = page.partition(f"### {heading} ")[2].partition("\n#")[0]

    assert set(re.findall(r"^\| `(tidings_\w+)`", section, flags=re.MULTILINE)) == there()


def test_every_metric_it_speaks_of_elsewhere_exists(page):
    there = producers() | consumers() | collectors()

    assert set(re.findall(r"tidings_[a-z_]+[a-z]", page)) - there == set()


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("outbox", outbox_cli),
        ("schedule", schedule_cli),
        ("api-keys", api_keys_cli),
        ("topology", topology_cli),
    ],
)
def test_every_command_is_shown_and_every_command_shown_exists(page, group, commands):
    shown = set(re.findall(rf"^    python -m \w+ {group} ([\w-]+)", page, flags=re.MULTILINE))

    assert shown == {info.name or info.callback.__name__ for info in commands().registered_commands}


def test_every_remedy_is_explained(page):
    assert all(f"| `{remedy}` |" in page for remedy in Remedy)


def test_every_log_line_it_names_is_one_that_is_written(page):
    table = page.partition("## One line per outcome")[2].partition("\n## ")[0]
    rooms = "outbox|relay|timer|schedule|consumer|collector|dead_letter|session|password|proof|accounts"
    named = set(re.findall(rf"`((?:{rooms})\.\w+)`", table))
    code = "".join(Path(path).read_text(encoding="utf-8") for path in ROOT.glob("*_service/**/*.py"))

    assert named
    assert {name for name in named if f'"{name}"' not in code} == set()


def test_every_setting_it_names_is_in_the_example(page):
    explained = set(re.findall(r"^#? ?(TIDINGS_\w+)=", read(".env.example"), flags=re.MULTILINE))

    assert set(re.findall(r"TIDINGS_[A-Z_]+", page)) - explained == set()
