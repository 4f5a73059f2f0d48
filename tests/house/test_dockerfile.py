"""One Dockerfile, two images, and nothing of the one service in the image of the other."""

import json
import os
import re

import pytest
from support.repository import docker, read

OTHER = {"producer": "consumer", "consumer": "producer"}

LOOK_AROUND = """
import json, os, sys
found = [name for folder, folders, files in os.walk("/") for name in folders if name.endswith("_service")]
print(json.dumps({"services": found, "app": sorted(os.listdir("/app")), "uid": os.getuid()}))
"""


@pytest.fixture(scope="module")
def stages() -> dict[str, str]:
    """The text of each stage by its name, each with the stages that it is built on."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", read("deploy/Dockerfile"), flags=re.MULTILINE)
    whole: dict[str, str] = {}
    for base, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        whole[name] = whole.get(base, "") + body
    return whole


@pytest.mark.parametrize("service", ["producer", "consumer"])
def test_it_copies_the_language_and_one_service(stages, service):
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", stages[service], flags=re.MULTILINE)

    assert copied == ["shared", f"{service}_service"]


@pytest.mark.parametrize("service", ["producer", "consumer"])
def test_the_packages_are_those_of_one_service_as_locked(stages, service):
    installed = stages[f"{service}-packages"]

    assert "--frozen" in installed
    assert f"--extra {service}" in installed
    assert f"--extra {OTHER[service]}" not in installed


@pytest.mark.parametrize("service", ["producer", "consumer"])
def test_it_runs_as_nobody_in_particular_without_a_shell_and_stops_on_sigterm(stages, service):
    last_user = re.findall(r"^USER (\S+)$", stages[service], flags=re.MULTILINE)[-1]

    assert last_user.partition(":")[0] not in {"0", "root"}
    assert f'ENTRYPOINT ["python", "-m", "{service}_service"]' in stages[service]
    assert "STOPSIGNAL SIGTERM" in stages[service]


def test_only_what_the_images_are_made_of_is_sent_to_the_engine(stages):
    sent = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    wanted = {path for text in stages.values() for path in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)}
    bound = {path for text in stages.values() for path in re.findall(r"source=([\w.]+)", text)}

    assert sent == wanted | bound
    assert "\n*\n" in read(".dockerignore")


def test_the_pinned_uv_is_the_one_of_the_front_door(stages):
    (pinned,) = re.findall(r"uv==(\S+)", stages["locked"])

    assert f'UV_PIN = "{pinned}"' in read("dev")


@pytest.fixture(scope="module", params=["producer", "consumer"])
def image(request: pytest.FixtureRequest) -> tuple[str, str]:
    if "docker" not in os.environ.get("TIDINGS_REQUIRE", "").split(","):
        pytest.skip("builds the images, which takes a minute: TIDINGS_REQUIRE=docker")
    arguments = ("build", "--quiet", "--file", "deploy/Dockerfile", "--target", request.param, ".")
    return request.param, docker(*arguments, seconds=600).strip()


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_image_holds_no_file_of_the_other_service_and_is_not_root(image):
    service, built = image

    seen = json.loads(docker("run", "--rm", "--network=none", "--entrypoint=python", built, "-c", LOOK_AROUND))

    assert seen["services"] == [f"{service}_service"]
    assert seen["app"] == sorted([".venv", f"{service}_service", "shared"])
    assert seen["uid"] != 0


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_image_starts_with_a_file_system_that_it_may_not_write(image):
    service, built = image

    said = docker("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", built, "--help")

    assert f"python -m {service}_service" in said
