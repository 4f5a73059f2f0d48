"""Workers that freeze in the middle of whatever they do, and go on when others have done their work."""

import signal

import pytest
from support.aftermath import ORPHANED_SECONDS, consumes, is_over
from support.composition import open_scene, relaying
from support.smtp import HANG

from consumer_service.database import TRANSACTION_SECONDS

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@pytest.fixture
async def scene(mortal, new_postgres):
    """PostgreSQL 17, because older ones keep the rows of a client that froze between Parse and Bind."""
    async with open_scene(mortal, new_postgres) as scene:
        yield scene


@pytest.mark.timeout(400)
async def test_a_worker_frozen_in_the_middle_is_succeeded_and_does_no_harm_when_it_goes_on(scene, doomed):
    scene.smtp.answer("MAIL", HANG, times=1)
    frozen = await consumes(doomed("worker"))
    async with relaying(scene):
        scene.may_repeat.update(await scene.accept(6))
        await scene.smtp.reached("MAIL")
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            # Its transactions hold their rows until the database ends them.
            await is_over(scene, within=ORPHANED_SECONDS + TRANSACTION_SECONDS)
        finally:
            frozen.process.send_signal(signal.SIGCONT)
        await consumes(frozen, queues=4)
        await scene.accept(3)

        ledger = await is_over(scene)

    assert await frozen.stop() == 0
    assert not ledger.complaints()
