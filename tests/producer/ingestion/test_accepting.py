from datetime import UTC, datetime, timedelta

import pytest
from support.builders import an_envelope
from support.databases import on_sqlite

from producer_service.ingestion.accepting import Candidate, Ingestion
from producer_service.ingestion.answers import tell_several
from producer_service.ingestion.placement import AT_ONCE, Placement
from producer_service.unit_of_work import Travel, units_on
from shared.contracts import Lane

pytestmark = on_sqlite

BULK, LATER = Placement(lane=Lane.BULK), Placement(deliver_at=datetime.now(UTC) + timedelta(hours=1))


@pytest.fixture
def rung():
    """Remember the lanes whose relays were woken, commit by commit."""
    return []


@pytest.fixture
def accepted(engine, rung):
    ingestion = Ingestion(units_on(engine, source="/here", committed=rung.append))

    async def accepted(*candidates):
        async def read():
            return candidates

        return (await ingestion.accept(read, Travel(), once=None, tell=tell_several)).accepted

    return accepted


async def test_what_is_accepted_wakes_the_relay_of_its_lane_and_what_is_delayed_wakes_none(accepted, rung):
    for placements in ([AT_ONCE], [BULK], [LATER], [AT_ONCE, BULK, LATER]):
        await accepted(*(Candidate(an_envelope(), placement=placement) for placement in placements))

    assert rung == [{Lane.NORMAL}, {Lane.BULK}, {Lane.NORMAL, Lane.BULK}]


async def test_what_was_recorded_before_wakes_nobody_again(accepted, rung):
    repeated = Candidate(an_envelope())

    counts = [await accepted(repeated) for _ in range(2)]

    assert counts == [1, 1]
    assert len(rung) == 1
