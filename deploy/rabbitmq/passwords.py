"""Prints definitions.json with the hashes of your own passwords in place of those for development.

    mkdir -p .tidings && python3 deploy/rabbitmq/passwords.py .env > .tidings/definitions.json

The file is in the form of .env, and has PRODUCER_BROKER_PASSWORD, CONSUMER_BROKER_PASSWORD, COLLECTOR_BROKER_PASSWORD,
REPLAYER_BROKER_PASSWORD, TOPOLOGY_BROKER_PASSWORD and OPERATOR_BROKER_PASSWORD: at least 16 letters and digits each,
because they also stand in URLs, for example from `openssl rand -hex 24`. In the same .env,
RABBITMQ_DEFINITIONS=./.tidings/definitions.json gives them to the broker when it starts. Needs only Python.
"""

import base64
import hashlib
import json
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFINITIONS = Path(__file__).with_name("definitions.json")
FIT = re.compile(r"[A-Za-z0-9._~-]{16,}")
LINE = re.compile(r"\s*(?:export\s+)?([A-Z_]+)=(.*?)\s*")


def main(arguments: list[str]) -> int:
    """Print the definitions; or one line for each password that is missing or unfit, and return 2."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    passwords = read(Path(arguments[0]).read_text(encoding="utf-8"))
    definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    unfit = [name for name in map(variable, definitions["users"]) if not FIT.fullmatch(passwords.get(name, ""))]
    for name in unfit:
        print(f"{name} must be at least 16 letters and digits", file=sys.stderr)
    if unfit:
        return 2
    for user in definitions["users"]:
        user["password_hash"] = salted_hash(passwords[variable(user)])
    print(json.dumps(definitions, indent=2))
    return 0


def read(text: str) -> Mapping[str, str]:
    """Return the variables of a .env file, without quotes."""
    lines = (LINE.fullmatch(line) for line in text.splitlines())
    return {line[1]: line[2].strip("'\"") for line in lines if line}


def variable(user: Mapping[str, Any]) -> str:
    """Return the name of the variable that holds a user's password."""
    return f"{str(user['name']).upper()}_BROKER_PASSWORD"


def salted_hash(password: str, salt: bytes | None = None) -> str:
    """Return what RabbitMQ stores: base64 of four bytes of salt and the SHA-256 of salt and password."""
    salt = secrets.token_bytes(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
