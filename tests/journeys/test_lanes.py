"""One code, and fifty thousand mails that may wait ahead of it: in the outbox, in the broker and in the worker."""

import asyncpg
import pytest
from support.builders import an_envelope
from support.peeking import depths
from support.waiting import eventually

from producer_service.database import open_engine
from producer_service.unit_of_work import Travel, units_on
from shared.commands import SendMail
from shared.envelope import encode
from shared.events import UserVerificationCodeRequested

pytestmark = [pytest.mark.broker, pytest.mark.long]

BULK = 50_000
STILL_WAITING = 45_000
CAMPAIGN = encode(
    an_envelope(
        SendMail(to="user-NUMBER@example.org", variables={"subject": "News", "text": "Much."}), id="bulk-NUMBER"
    )
).decode()

SEED = """
    INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time,
                        recorded_at, lane)
    SELECT 'bulk-' || n, 'mail', 'user-' || n, 'mail.send', convert_to(replace($1, 'NUMBER', n::text), 'UTF8'),
           'domain.tasks', '/tests', 'campaign', now(), now(), 1
    FROM generate_series(1, 50000) n
"""


async def seed(url):
    connection = await asyncpg.connect(url)
    await connection.execute(SEED, CAMPAIGN)
    await connection.close()


async def ask_for_a_code(url):
    engine = open_engine(url)
    code = UserVerificationCodeRequested(user_id="0" * 32, email="ann@example.org", name="Ann", code_id="1" * 32)
    async with units_on(engine, source="/tests")(Travel()) as unit:
        unit.record(code)
        await unit.commit()
    await engine.dispose()


def bulk_and_codes(smtp):
    to = [str(mail["to"]) for mail in smtp.mails]
    return len([each for each in to if each.startswith("user-")]), len(
        [each for each in to if each == "ann@example.org"]
    )


async def test_a_code_never_waits_behind_fifty_thousand_mails_that_may_wait(world):
    world.prepare()
    world.apply_topology()
    outbox, broker = world.producer_env["TIDINGS_DATABASE_URL"], world.consumer_env["TIDINGS_BROKER_URL"]
    await seed(outbox)

    async def campaign_is_under_way():
        waiting = (await depths(broker, ["consumer.mail.bulk"]))["consumer.mail.bulk"]
        return bulk_and_codes(world.smtp)[0] > 10 and waiting > 1000

    world.api()
    world.worker("-q", "mail")
    await eventually(campaign_is_under_way, within=60)
    await ask_for_a_code(outbox)
    await eventually(lambda: bulk_and_codes(world.smtp)[1] == 1, within=60)
    sent_before_the_code, _ = bulk_and_codes(world.smtp)

    assert BULK - sent_before_the_code > STILL_WAITING
    await eventually(lambda: bulk_and_codes(world.smtp)[0] > sent_before_the_code + 10, within=60)
