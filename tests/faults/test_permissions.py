"""The broker knows the services no more, or lets them do less."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import a_user_created, an_envelope
from support.composition import PASSWORD, open_pair, rights_of
from support.faults import REVOKED, apply_topology, suffering
from support.pair import MAIL
from support.waiting import eventually
from yarl import URL

from producer_service.outbox import record
from shared.events import UserEmailVerified

pytestmark = [pytest.mark.broker, pytest.mark.fault]

MOST_ATTEMPTS = 60
"""In the seconds that this takes, by three clients that double their pauses."""


async def test_revoked_rights_are_named_on_both_sides_and_granting_them_heals(pair):
    await pair.accept(3)

    async with suffering(pair, REVOKED):
        (event,) = await pair.accept(1)

        async def refused():
            return "ACCESS_REFUSED" in ((await pair.rows())[event].last_error or "")

        await eventually(refused, within=30)
        await eventually(lambda: not pair.sample("tidings_consuming", queue=MAIL), within=20)
        await eventually(lambda: worker_refused(pair), within=20)
        assert (await pair.rows())[event].status == "pending"

    await pair.balances()


async def test_a_rotated_password_is_read_from_its_file_and_nobody_hammers_at_the_door(scene, tmp_path):
    secret, new = tmp_path / "password", "another-password-for-tests"
    secret.write_text(PASSWORD)
    for env in (scene.producer_env, scene.consumer_env):
        url = URL(env["TIDINGS_BROKER_URL"])
        env["TIDINGS_BROKER_URL"] = str(url.with_password(None).update_query(password_file=str(secret)))
    async with open_pair(scene) as pair:
        await pair.is_ready()
        await pair.accept(3)
        await pair.balances()
        for service in ("producer", "consumer"):
            await pair.admin.change_password(pair.admin.user_of(service), new)
            await pair.admin.close_connections_of(pair.admin.user_of(service))
        await pair.accept(3)
        before = pair.publishing.attempts + pair.consuming.attempts

        await eventually(lambda: refused(pair), within=30)
        await asyncio.sleep(3)
        assert pair.publishing.attempts + pair.consuming.attempts - before < MOST_ATTEMPTS
        secret.write_text(new)

        await pair.balances()


async def worker_refused(pair):
    return "ACCESS_REFUSED" in await pair.worker_says(MAIL)


async def refused(pair):
    return "ACCESS_REFUSED" in await pair.relay_says()


async def test_deleted_users_are_refused_by_name_and_tried_again_without_haste(pair):
    await pair.accept(3)
    await pair.balances()
    users = {service: pair.admin.user_of(service) for service in ("producer", "consumer")}
    for user in users.values():
        await pair.admin.delete_user(user)
        await pair.admin.close_connections_of(user)
    await pair.accept(3)

    await eventually(lambda: refused(pair), within=30)
    assert PASSWORD not in await pair.relay_says()
    for service, user in users.items():
        await pair.admin.add_user(user, PASSWORD, **rights_of(service))

    await pair.balances()


async def test_what_was_accepted_while_the_virtual_host_was_gone_goes_out_when_it_is_back(pair):
    await pair.accept(3)
    await pair.balances()
    await pair.admin.delete_vhost()
    await pair.accept(3)
    await eventually(pair.relay_waits, within=30)

    await pair.admin.add_vhost()
    for service in ("producer", "consumer"):
        await pair.admin.grant(pair.admin.user_of(service), **rights_of(service))
    await apply_topology(pair)
    await pair.is_ready()

    ledger = await pair.balances()
    assert len(ledger.accepted) == 6


async def test_a_forbidden_routing_key_is_parked_and_holds_up_nobody_else(pair):
    await pair.admin.restrict_topics(pair.admin.user_of("producer"), "domain.events", r"^user\.created$")
    await pair.admin.close_connections_of(pair.admin.user_of("producer"))
    allowed = a_user_created()
    forbidden = an_envelope(UserEmailVerified(user_id=allowed.user_id, email=allowed.email))
    async with AsyncSession(pair.outbox) as session, session.begin():
        record(session, forbidden)

    await pair.accept(6)

    async def parked():
        row = (await pair.rows())[forbidden.id]
        return row.status == "parked" and row.parked_reason

    assert await eventually(parked, within=30) == "forbidden"
    await pair.balances()
