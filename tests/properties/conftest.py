"""Properties, tried with as many cases as the profile says: `--hypothesis-profile thorough` means a hundred thousand.

A case that opens a database costs as much as hundreds that do not, so those tests take a share of the number.
"""

import asyncio
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
FEW = settings.get_profile("patient").max_examples


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a thorough run the time it takes, also where a test has a limit of its own."""
    if settings().max_examples > FEW:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.timeout(0), append=False)


@pytest.fixture(scope="session")
def own_loop():
    """Runs coroutines from tests that are no coroutines, because a state machine of hypothesis cannot be one."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner
