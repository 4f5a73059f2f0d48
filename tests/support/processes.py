"""The services as real processes: started, asked whether they are ready, stopped, killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30.0
STOP_SECONDS = 40.0


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """One process of one service, and what it has said so far."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    async def answers(self, path: str = "/readyz") -> bool:
        """Whether the process says that it is ready. An exit before that is a failure, with its words."""
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.said[-3000:]}"
        try:
            async with httpx2.AsyncClient(timeout=5) as client:
                return (await client.get(self.url + path)).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    async def is_ready(self) -> "Service":
        await eventually(self.answers, within=READY_SECONDS)
        return self

    async def stop(self) -> int:
        """Ask it to stop, as an orchestrator would, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    def freeze(self) -> None:
        """Let it fall silent, between whatever two steps it is."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, between whatever two steps it is."""
        self.process.kill()
        self.process.wait(5)


@dataclass
class Services:
    """Starts processes, and leaves none behind."""

    folder: Path
    started: list[Service] = field(default_factory=list)

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str],
        port_variable: str = "TIDINGS_HTTP_PORT",
        output: str | None = None,
        port: int | None = None,
    ) -> Service:
        """Start `python -m <arguments>` with nothing but this environment; return at once.

        What it says goes to a file of the test, or to the `output` given, from where nobody reads it. A `port` is given
        to what takes the place of a process that has died.
        """
        port = port or a_free_port()
        log = self.folder / f"{len(self.started)}-{arguments[0]}.log"
        log.touch()
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TIDINGS_LOG_FORMAT": "json"}
        with Path(output or log).open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=environment | dict(env) | {port_variable: str(port)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        service = Service(" ".join(arguments), process, port, log)
        self.started.append(service)
        return service

    def run(self, *arguments: str, env: Mapping[str, str]) -> None:
        """Run a command to its end; it must succeed."""
        service = self.start(*arguments, env=env)
        assert service.process.wait(60) == 0, service.said


@contextmanager
def open_services(folder: Path) -> Iterator[Services]:
    services = Services(folder)
    try:
        yield services
    finally:
        for service in services.started:
            if service.process.poll() is None:
                service.kill()


def resident_bytes(pid: int) -> int:
    """Return how much memory a process holds, as Linux counts it."""
    (line,) = (each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def open_descriptors(pid: int) -> int:
    """Return how many files and sockets a process holds open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
