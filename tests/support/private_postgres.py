"""A PostgreSQL of our own: started from the machine's binaries, in its own directory and on a port of this machine.

It can be stopped in good order or not, and brought back with its disk intact.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
STOP_SECONDS = 10.0

STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
"""In good order, or as a crash would: what was committed must then be recovered from the log."""


class NoPostgres(Exception):
    """No server can be had this way."""


class PrivatePostgres:
    """One server. It greets some time after `start` has returned."""

    def __init__(self, *settings: str, initdb: tuple[str, ...] = ()) -> None:
        """Make its directory, with these options for initdb; `settings` as in postgresql.conf. Nothing runs yet."""
        self._binary = _find("postgres")
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-postgres-"))
        self._user = _unprivileged(self._folder)
        self._port = _free_port()
        own = (f"port={self._port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}")
        self._settings = [f"--{setting}" for setting in (*own, *settings)]
        self._process: subprocess.Popen[bytes] | None = None
        self._make(initdb)

    @property
    def url(self) -> str:
        """The URL by which its administrator connects."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def port(self) -> int:
        """Where it listens, on loopback; the same after every start."""
        return self._port

    @property
    def version(self) -> str:
        """The version, in the server's own words."""
        told = subprocess.run([self._binary, "--version"], check=True, capture_output=True, text=True, timeout=10)
        return told.stdout.split()[2]

    def start(self, *, largest_file: int | None = None) -> None:
        """Start it, or bring it back with the disk it had; no file may grow beyond so many bytes."""
        limit = ["prlimit", f"--fsize={largest_file}:unlimited"] if largest_file else []
        started = [*limit, self._binary, "-D", str(self._folder / "cluster"), *self._settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(started, user=self._user, cwd=self._folder, stdout=log, stderr=log)

    def stop(self, how: str = "immediate") -> None:
        """Stop it, `fast` or `immediate`; kill it when it takes too long."""
        if self._process is None:
            return
        self._process.send_signal(STOPS[how])
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop it at once, and remove all it wrote; nobody will miss what a checkpoint would save."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, options: tuple[str, ...]) -> None:
        binary = _find("initdb")
        made: list[Any] = [binary, "-D", self._folder / "cluster", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
        try:
            subprocess.run(
                [*made, "--locale=C", *options],
                user=self._user, cwd=self._folder, check=True, capture_output=True, timeout=START_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise NoPostgres(f"{binary} failed ({type(error).__name__})") from None


def _find(name: str) -> str:
    """Find a server binary where Debian hides it, newest version first, or on the path."""
    hidden = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = str(hidden[-1]) if hidden else shutil.which(name)
    if found is None:
        raise NoPostgres(f"no {name} on this machine")
    return found


def _unprivileged(folder: Path) -> int | None:
    """Return whom to run the server as, and give them the folder: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    import pwd

    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return user.pw_uid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
