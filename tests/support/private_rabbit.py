"""A RabbitMQ of our own: started from the machine's binaries, in its own directory and on its own ports.

It can be killed and brought back with its disk intact, and it dies with the process that started it.
"""

import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from support.rabbit import Ctl, Management, Rabbit, listens

STOP_SECONDS = 30.0

DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Where Debian keeps the real thing; what it puts on the path is a wrapper that refuses other users."""

GUARD = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null; rm -rf "$2"'
"""Waits for its input to end, which happens when our process does, however it does; then cleans up after us."""


def find_server() -> Path | None:
    """Return the rabbitmq-server of this machine, if it has one."""
    if DEBIAN.exists():
        return DEBIAN
    found = shutil.which("rabbitmq-server")
    return Path(found).resolve() if found else None


class PrivateRabbit(Rabbit):
    """One node. Only its own processes are ever ended: they form a process group of their own."""

    kind: ClassVar[str] = "private"

    def __init__(
        self, server: Path, *, within: Path | None = None, schedulers: int = 1, statistics_ms: int = 1000
    ) -> None:
        """Choose ports and write the configuration; nothing runs yet.

        A node for tests stays on one processor and counts often; one that is measured wants all of them, and peace.
        Its directory is made `within` one, or where the system makes such.
        """
        self._port, self._http, self._distribution = _free_ports(3)
        url = f"amqp://guest:guest@127.0.0.1:{self._port}/%2F"
        super().__init__(url, Management(f"http://127.0.0.1:{self._http}", url))
        self._server = server
        self._schedulers, self._statistics_ms = schedulers, statistics_ms
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-rabbitmq-", dir=within))
        self._user = _unprivileged()
        self._node: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._configure()

    def start(self) -> None:
        """Start the node, or bring it back with the disk it had. Returns once it takes AMQP connections."""
        with (self._folder / "output").open("ab") as output:
            self._node = subprocess.Popen(
                [self._server], env=self._environment, cwd=self._folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, **self._identity,
            )  # fmt: skip
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._node.pid), self._folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.wait_until_it_greets(self._obituary)

    def stop(self) -> None:
        """Shut the node down in good order, as an operator would. Takes some seconds."""
        if self._node is not None:
            self._node.send_signal(signal.SIGTERM)
            self._node.wait(STOP_SECONDS)
            self.kill()

    def kill(self) -> None:
        """End the node at once, as a power cut would. The disk stays as it is."""
        if self._node is not None and self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()
            _kill_group(self._node.pid)
            self._node.wait()
        self._node = self._guard = None

    @property
    def node_name(self) -> str:
        """The name by which other nodes know this one."""
        return f"tidings-{self._port}@localhost"

    def freeze(self) -> None:
        """Let the node fall silent; the kernel still takes what is sent to it, as it does for a peer that hangs."""
        if self._node is not None:
            os.killpg(self._node.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node go on."""
        if self._node is not None:
            os.killpg(self._node.pid, signal.SIGCONT)

    def recover(self) -> None:
        """Undo `freeze` and `kill`."""
        self.thaw()
        if self._node is None:
            self.start()

    def restart(self) -> None:
        """Shut the node down in good order and start it again."""
        self.stop()
        self.start()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against the node. Takes about two seconds, most of which is Erlang starting."""
        command = [str(self._server.with_name("rabbitmqctl"))]
        options = {"env": self._environment, "cwd": self._folder, **self._identity}
        return Ctl(command, self._amqp_url, **options).run(*arguments)

    def close(self) -> None:
        """Kill the node and remove all it wrote. Quick, because nothing of it is to be kept."""
        self.kill()
        self._made.clear()
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _configure(self) -> None:
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self._http}\n"
            f"collect_statistics_interval = {self._statistics_ms}\ndisk_free_limit.absolute = 50MB\n"
        )
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text("tidings-tests")
        cookie.chmod(0o400)
        if self._user is not None:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)

    @property
    def _identity(self) -> dict[str, Any]:
        """Whom to run as: RabbitMQ's scripts will not run for root."""
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}

    @property
    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": folder,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node_name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-kernel inet_dist_use_interface {{127,0,0,1}} +S {self._schedulers}:{self._schedulers}"
            ),
            # The start script then becomes the node, instead of standing before it: signals reach the right one.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _obituary(self) -> str:
        if self._node is None or self._node.poll() is None:
            return ""
        said = (self._folder / "output").read_text(errors="replace")
        return f"{self._server} ended with {self._node.returncode}; it said:\n{said[-1500:]}"


def _unprivileged() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("rabbitmq") or known["nobody"]


def _free_ports(count: int) -> list[int]:
    """Choose below the range from which the system takes ports for clients, so that a restart finds them free."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randint(20_000, 31_999)  # noqa: S311
        if port not in ports and not listens("127.0.0.1", port):
            ports.append(port)
    return ports


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
