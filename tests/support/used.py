"""Which real servers a run has used, for its last line."""

import pytest

USED = pytest.StashKey[dict[str, str]]()


def note(config: pytest.Config, name: str, what: str) -> None:
    """Remember that this run used a server."""
    config.stash.setdefault(USED, {})[name] = what
