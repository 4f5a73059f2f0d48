"""Where files lie that no test needs to outlive."""

import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it is made for us alone
ROOM = 2 * 2**30
"""A broker refuses to work where little is free; and a container's share of the memory may be tiny."""


def memory() -> Path | None:
    """Return a folder in memory, where the machine has one with room: there, nothing waits for a disk."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None
