"""The front door: finds a Python, installs what is locked, once, runs the command, or says what to do instead."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import ROOT, read

pytestmark = pytest.mark.slow

PYTHON = Path(sys.base_prefix) / "bin" / "python3"
"""The Python beneath our virtual environment, which may have pip where that has none."""

RECORDING_UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
echo "index=$UV_DEFAULT_INDEX $*" >> "$HERE/uv-calls"
mkdir -p "$HERE/.venv/bin"
ln -sf "$HERE/echo" "$HERE/.venv/bin/python"
echo "error: no such host" >&2
exit "${UV_EXIT:-0}"
"""

ECHO = """#!/bin/sh
echo "${0##*/} $*"
case " $FAILING " in *" ${0##*/} "*) exit 1 ;; esac
"""


class House:
    """A small tree with the real front door, a uv that records, and tools that repeat what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("dev", "uv.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        self.put("path/uv", RECORDING_UV)
        self.put("echo", ECHO)

    def put(self, path: str, script: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(script)
        (self.folder / path).chmod(0o755)

    def dev(self, *arguments: str, path: str | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
        home = {"HERE": str(self.folder), "HOME": str(self.folder), "PIP_CONFIG_FILE": os.devnull}
        search = path or os.pathsep.join([f"{self.folder}/path", str(PYTHON.parent), os.defpath])
        command = [str(self.folder / "dev"), *arguments]
        environment = {**home, "PATH": search, **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    @property
    def uv_calls(self) -> list[str]:
        record = self.folder / "uv-calls"
        return record.read_text().splitlines() if record.exists() else []


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_it_explains_every_command_and_installs_nothing(house, arguments):
    done = house.dev(*arguments)

    assert done.returncode == 0
    assert all(f"./dev {name}" in done.stdout for name in ("demo", "test", "check", "run", "bench"))
    assert house.uv_calls == []


@pytest.mark.parametrize("arguments", [("deploy",), ("run",), ("run", "relay")])
def test_it_refuses_what_it_does_not_know_and_shows_what_it_does(house, arguments):
    done = house.dev(*arguments)

    assert done.returncode == 2
    assert f"there is no command {' '.join(arguments)!r}" in done.stderr
    assert "./dev demo" in done.stderr


def test_without_a_python_that_is_new_enough_it_says_what_to_install(house):
    house.put("old/python3", "#!/bin/sh\nexit 1\n")

    done = house.dev("demo", path=f"{house.folder}/old")

    assert done.returncode == 1
    assert "apt install python3" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (("demo", "--keep"), "-m deploy.demo --keep"),
        (("test", "-k", "a b"), "-m pytest -k a b"),
        (("run", "producer", "api"), "-m producer_service api"),
        (("run", "consumer", "worker", "-q", "mail"), "-m consumer_service worker -q mail"),
    ],
)
def test_it_installs_and_then_becomes_the_command(house, arguments, run):
    done = house.dev(*arguments)

    assert done.returncode == 0
    assert done.stdout == f"python {run}\n"
    assert house.uv_calls == ["index= sync --quiet --frozen --all-extras --all-groups --no-group bench"]


def test_the_peers_of_the_benchmarks_are_installed_for_them_alone_and_then_stay(house):
    house.dev("demo")
    done = house.dev("bench", "--quick")
    house.dev("demo")

    assert done.stdout == "python -m benchmarks --quick\n"
    assert house.uv_calls[1:] == ["index= sync --quiet --frozen --all-extras --all-groups"]


def test_what_is_installed_is_not_installed_again_until_the_lock_changes(house):
    house.dev("demo")
    again = house.dev("demo")

    assert len(house.uv_calls) == 1
    assert again.stderr == ""

    (house.folder / "uv.lock").write_text("changed")
    house.dev("demo")

    assert len(house.uv_calls) == 2


def test_behind_a_mirror_it_installs_the_locked_versions_from_there(house):
    done = house.dev("demo", PIP_INDEX_URL="https://user:secret@mirror.example/simple")

    assert done.returncode == 0
    assert [call.split()[1] for call in house.uv_calls] == ["venv", "export", "pip", "pip"]
    assert all(call.startswith("index=https://user:secret@mirror.example/simple ") for call in house.uv_calls)
    assert "--require-hashes" in house.uv_calls[2]
    assert "secret" not in done.stdout + done.stderr


def test_the_mirror_of_pips_own_configuration_is_heard(house):
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{PYTHON} has no pip, and so no configuration")
    configuration = house.folder / "pip.conf"
    configuration.write_text("[global]\nindex-url = https://mirror.example/simple\n")

    house.dev("demo", PIP_CONFIG_FILE=str(configuration))

    assert house.uv_calls[0].startswith("index=https://mirror.example/simple ")


def test_when_the_installation_fails_it_says_why_and_what_next_and_tries_again_next_time(house):
    failed = house.dev("demo", UV_EXIT="2")
    house.dev("demo")

    assert failed.returncode == 1
    assert "error: no such host" in failed.stderr
    assert "set PIP_INDEX_URL" in failed.stderr
    assert len(house.uv_calls) == 2


def test_check_runs_every_step_also_after_one_has_failed_and_names_it(house):
    house.dev("demo")
    for tool in ("ruff", "mypy", "lint-imports"):
        shutil.copy(house.folder / "echo", house.folder / ".venv" / "bin" / tool)

    passed, failed = house.dev("check"), house.dev("check", FAILING="mypy")

    assert passed.returncode == 0
    assert failed.returncode == 1
    assert failed.stdout.splitlines()[-1] == "dev: failed: mypy; mypy dev"
    assert failed.stdout.count("\nlint-imports") == passed.stdout.count("\nlint-imports") == 1


def test_make_is_nothing_but_aliases():
    recipes = [line for line in read("Makefile").splitlines() if line.startswith("\t")]

    assert recipes
    assert all(recipe.strip().startswith(("./dev ", "docker compose ")) for recipe in recipes)
