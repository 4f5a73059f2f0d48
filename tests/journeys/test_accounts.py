import re
from urllib.parse import unquote

import httpx2
import pytest
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]

EMAIL = {"email": "ann@example.org"}
FIRST, SECOND = {"password": "correct horse battery"}, {"password": "battery staple horse"}
CODE = EMAIL | {"purpose": "sign-in"}


async def plain_part_of_mail(world, number):
    await eventually(lambda: len(world.smtp.mails) >= number, within=15)
    return world.smtp.mails[number - 1].get_body(("plain",)).get_content()


def token_in(text):
    return {"token": unquote(re.findall(r"token=(\S+)", text)[0])}


async def test_what_the_mails_of_one_service_hold_is_taken_back_by_the_other(world):
    world.prepare()
    world.apply_topology()
    worker, api = world.worker("-q", "mail"), world.api()
    for service in (worker, api):
        await service.is_ready()

    async with httpx2.AsyncClient(base_url=f"{api.url}/v1", timeout=30) as client:
        await client.post("/users", json=EMAIL | FIRST)
        link = token_in(await plain_part_of_mail(world, 1))
        verified = [await client.post("/email-verifications/redeem", json=link) for _ in range(2)]
        welcome = await plain_part_of_mail(world, 2)
        await client.post("/verification-codes", json=CODE)
        (code,) = re.findall(r"\b\d{6}\b", await plain_part_of_mail(world, 3))
        checked = await client.post("/verification-codes/check", json=CODE | {"code": code})
        await client.post("/password-resets", json=EMAIL)
        link = token_in(await plain_part_of_mail(world, 4))
        reset = await client.post("/password-resets/redeem", json=link | SECOND)
        notice = await plain_part_of_mail(world, 5)
        signed_in = [await client.post("/sessions", json=EMAIL | password) for password in (FIRST, SECOND)]

    assert [answer.status_code for answer in verified] == [204, 403]
    assert (checked.status_code, checked.json()) == (200, {"verified": True})
    assert reset.status_code == 204
    assert [answer.status_code for answer in signed_in] == [401, 201]
    assert "Your account is ready" in welcome
    assert "password of your account was changed" in notice
    for secret in (code, link["token"], FIRST["password"], SECOND["password"], signed_in[1].json()["token"]):
        assert secret not in worker.said + api.said
