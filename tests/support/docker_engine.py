"""Whether a Docker engine answers: asked before its library is, which leaves a socket open where there is none."""

import os
import socket
from pathlib import Path


def engine_answers() -> bool:
    """Try the places where an engine on this machine listens; an engine elsewhere is the library's to find."""
    given = os.environ.get("DOCKER_HOST")
    if given is not None:
        return not given.startswith("unix://") or _answers(Path(given.removeprefix("unix://")))
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", "/run"))
    places = (Path("/var/run/docker.sock"), runtime / "docker.sock", Path.home() / ".docker" / "run" / "docker.sock")
    return any(_answers(place) for place in places)


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(place)) == 0
