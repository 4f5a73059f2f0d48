"""What a run was measured on, in lines that a reader can judge the numbers by. Names no host and no path."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import psutil
from benchmarks.run import Scale
from benchmarks.servers import Servers

NAMED = ("aio-pika", "faststream", "celery", "taskiq", "taskiq-aio-pika", "dramatiq", "fastapi", "uvicorn", "uvloop",
         "sqlalchemy", "asyncpg")  # fmt: skip
GIGABYTE = 1024**3


def preface(servers: Servers, scale: Scale) -> list[str]:
    """Return what stands above the tables."""
    memory = f"{psutil.virtual_memory().total / GIGABYTE:.0f} GB"
    machine = f"{os.cpu_count()} processors, {memory}, {platform.system()}, CPython {platform.python_version()}"
    return [
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine},",
        f"{servers.describe()}; {', '.join(_versions())}.",
        f"Rounds: {scale.rounds}, messages in each: {scale.messages:,}. Cells are medians (least - most).",
    ]


def _versions() -> list[str]:
    found = []
    for name in NAMED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
