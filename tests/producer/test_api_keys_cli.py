"""The commands for API keys, as an operator gives them."""

import asyncio
import json
from functools import partial

import pytest
from support.commands import run_command
from support.databases import on_sqlite

from producer_service.ingestion.keys import KeyRing

SHOP = ("create", "shop", "--type", "order.*", "--source", "/shop")

pytestmark = [on_sqlite, pytest.mark.slow]


@pytest.fixture
def api_keys(tmp_path, database_url, engine):  # noqa: ARG001 - its tables
    """Run `api-keys ...` with the database's URL and nothing else."""

    async def said(*arguments):
        ours = {"TIDINGS_DATABASE_URL": database_url}
        return await asyncio.to_thread(
            partial(run_command, "producer_service", "api-keys", *arguments, env=ours, folder=tmp_path)
        )

    return said


async def test_a_key_is_made_shown_once_listed_without_its_secret_replaced_and_revoked(api_keys, engine):
    made = await api_keys(*SHOP, "--source", "/till/*", "--rate", "50")
    (key,) = made.out
    key_id, secret = key.split("_")[1:]
    assert (made.code, await KeyRing(engine).find(key) is not None) == (0, True)
    assert "only time" in made.err[-1]

    listed = await api_keys("list")
    assert [word in listed.out[1] for word in (key_id, "shop", "order.*", "/shop, /till/*", "50")] == [True] * 5
    assert secret not in "".join(listed.said)

    rotated = await api_keys("rotate", key_id, "--overlap", "1h", "--lasts", "90d")
    both = json.loads("".join((await api_keys("list", "--json")).out))
    assert [each["id"] for each in both] == [key_id, rotated.out[0].split("_")[1]]
    assert all(each["expires_at"] for each in both)

    revoked = await api_keys("revoke", key_id)
    assert (revoked.code, len((await api_keys("list")).out), len((await api_keys("list", "--all")).out)) == (0, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "shop", "--type", "Order", "--source", "/s"), "--type: 'Order' is none"),
        (("create", "shop", "--type", "#", "--source", "a b"), "--source: 'a b' is none"),
        (("create", " ", "--type", "#", "--source", "/s"), "CLIENT:"),
        ((*SHOP, "--lasts", "long"), "--lasts: 'long' is no span of time"),
        (("rotate", "nobody"), "nobody: there is no such key"),
        (("revoke", "nobody"), "nobody: there is no such key"),
    ],
)
async def test_what_is_asked_wrongly_is_refused_in_one_line(api_keys, arguments, said):
    ended = await api_keys(*arguments)

    assert (ended.code, ended.out) == (2, [])
    assert said in ended.err[-1]
