"""The command line of the fault suite: which faults are run, and by which dice pairs of them are chosen."""

from random import SystemRandom
from typing import Any

import pytest

FAULT_SECONDS = 300
"""Most of them wait: for a heartbeat, a deadline, a pause, a broker that starts. None may hang."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--all-faults", action="store_true", help="also run faults that take longer than a minute")
    group.addoption("--fault-pairs", type=int, default=0, metavar="N", help="also run N random pairs of faults")
    group.addoption("--seed", type=int, default=None, metavar="S", help="choose the same pairs as a run that printed S")
    group.addoption("--soak", type=float, default=0.0, metavar="SECONDS", help="also run the soak test for so long")
    group.addoption("--chaos", type=float, default=0.0, metavar="SECONDS", help="also kill at random for so long")


def pytest_configure(config: pytest.Config) -> None:
    """Throw the dice once; processes that xdist started take the number of the one that started them."""
    given: Any = getattr(config, "workerinput", {}).get("seed", config.option.seed)
    config.option.seed = SystemRandom().randrange(1_000_000) if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["seed"] = node.config.option.seed


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    pairs = config.option.fault_pairs
    if pairs:
        terminalreporter.write_line(f"random faults: repeat with --fault-pairs {pairs} --seed {config.option.seed}")
    if config.option.chaos:
        terminalreporter.write_line(
            f"random kills: repeat with --chaos {config.option.chaos} --seed {config.option.seed}"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give faults and long tests the time they take on a busy machine; leave out slow faults unless they are wanted."""
    skipped = pytest.mark.skip(reason="takes longer than a minute; run by --all-faults")
    for item in items:
        if any(map(item.get_closest_marker, ("fault", "long"))) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FAULT_SECONDS))
        if item.get_closest_marker("slow_fault") and not config.option.all_faults:
            item.add_marker(skipped)
