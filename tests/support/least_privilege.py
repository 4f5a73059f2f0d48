"""The broker's users as we deploy them, in a virtual host of a test's own."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from support.rabbit import Rabbit
from support.rabbit_admin import administering
from yarl import URL

UrlOf = Callable[[str], str]
"""Gives the AMQP URL of one of the users."""


def import_users(rabbit: Rabbit, definitions: Mapping[str, Any]) -> UrlOf:
    """Import users and rights into a new virtual host. Skips where users would be added to a broker that is not ours.

    The passwords are those of the defaults for development.
    """
    url = URL(rabbit.new_vhost())
    here = json.dumps(url.path.removeprefix("/"))
    with administering(rabbit, str(url)) as admin:
        admin.import_definitions(json.loads(json.dumps(definitions).replace('"tidings"', here)))
    return lambda name: str(url.with_user(name).with_password(f"{name}-development"))
