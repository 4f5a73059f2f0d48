"""The clocks of two workers differ by an hour. Needs libfaketime (Debian: `apt install libfaketime`)."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.composition import open_pair, relaying
from support.pair import MAIL, PROMPT
from support.smtp import HANG
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]

LIBRARY = os.environ.get("TIDINGS_TEST_FAKETIME") or next(
    (str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None
)


def what_time_it_is_for(worker):
    """Return the time that the last line of its log says."""
    return datetime.fromisoformat(json.loads(worker.said.splitlines()[-1])["timestamp"])


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: apt install libfaketime")
@pytest.mark.parametrize("skew", ["+1h", "-1h"])
async def test_a_worker_whose_clock_is_wrong_steals_nothing_and_loses_nothing(scene, services, skew):
    fake = {"LD_PRELOAD": LIBRARY, "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    scene.smtp.answer("MAIL", HANG, times=4)
    right, wrong = (
        services.start("consumer_service", "worker", "-q", "mail", env={**scene.consumer_env, **clock})
        for clock in ({}, fake)
    )
    await right.is_ready()
    await wrong.is_ready()
    assert abs(what_time_it_is_for(wrong) - datetime.now(UTC)) > timedelta(minutes=50)

    async with relaying(scene):
        await scene.accept(40, names=[PROMPT])
        await eventually(lambda: len(scene.smtp.mails) >= 36, within=60)
        assert [await worker.stop() for worker in (right, wrong)] == [0, 0]

    assert all('"delivery.acked"' in worker.said for worker in (right, wrong))
    async with open_pair(scene) as pair:
        await pair.is_ready()
        ledger = await pair.balances(within=100)
    assert not ledger.accounts[0].dead
    assert ledger.accounts[0].queue == MAIL
