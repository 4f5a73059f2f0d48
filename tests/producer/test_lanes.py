import asyncio
from uuid import UUID

import pytest
from support.publishers import GatedPublisher, RecordingPublisher
from support.waiting import eventually

from producer_service.claims import Claims
from producer_service.lanes import Bell, LaneRelays
from shared.contracts import Lane

ANN, BOB = UUID(int=1), UUID(int=2)


class StandingRelay:
    """A relay that is as it is told, until it is told to stop."""

    def __init__(self, *, running=True, interrupted_by="", blocked=False, sessions=1, error=None):
        self.running, self.interrupted_by, self.blocked, self.sessions = running, interrupted_by, blocked, sessions
        self.error = error

    async def run(self, stop):
        if self.error:
            raise self.error
        await stop.wait()


def of(**normal):
    return LaneRelays({Lane.NORMAL: StandingRelay(**normal), Lane.BULK: StandingRelay()})


async def test_what_is_not_bulk_is_published_while_all_bulk_waits_for_its_confirm(make_relay, engine, recorded, change):
    bell, stop, slow, quick = Bell(), asyncio.Event(), GatedPublisher(), RecordingPublisher()
    *bulk, code = await recorded(*(ANN for _ in range(3)), BOB)
    await change(*bulk, lane=Lane.BULK)
    relays = LaneRelays(
        {
            Lane.NORMAL: make_relay(claims=Claims(engine, Lane.NORMAL), publisher=quick, wake=bell.of(Lane.NORMAL)),
            Lane.BULK: make_relay(claims=Claims(engine, Lane.BULK), publisher=slow, wake=bell.of(Lane.BULK)),
        }
    )

    running = asyncio.create_task(relays.run(stop))
    await eventually(lambda: quick.ids == [code] and slow.ids == bulk[:1])
    slow.gate.set()
    await eventually(lambda: slow.ids == bulk)
    stop.set()
    await asyncio.wait_for(running, 5)

    assert quick.ids == [code]


async def test_whoever_does_not_know_the_lane_wakes_the_relays_of_all_and_each_answers_for_itself():
    bell = Bell()

    bell.ring()
    bell.of(Lane.NORMAL).clear()

    assert (bell.of(Lane.NORMAL).is_set(), bell.of(Lane.BULK).is_set()) == (False, True)


async def test_a_commit_in_one_lane_leaves_the_relays_of_the_others_asleep():
    bell = Bell()

    bell.ring({Lane.BULK})

    assert (bell.of(Lane.NORMAL).is_set(), bell.of(Lane.BULK).is_set()) == (False, True)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"running": False}, (False, "", False, 1)),
        ({"interrupted_by": "away"}, (True, "away", False, 1)),
        ({"blocked": True}, (True, "", True, 1)),
        ({"sessions": 3}, (True, "", False, 3)),
        ({}, (True, "", False, 1)),
    ],
)
def test_they_are_as_well_as_the_worst_of_them(change, seen):
    relays = of(**change)

    assert (relays.running, relays.interrupted_by, relays.blocked, relays.sessions) == seen


async def test_when_one_ends_by_an_error_all_end_with_it_to_be_run_again():
    with pytest.raises(ZeroDivisionError):
        await of(error=ZeroDivisionError()).run(asyncio.Event())
