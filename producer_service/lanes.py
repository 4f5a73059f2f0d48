"""One relay for each lane: what stands in one waits neither for a claim nor for a confirm of another."""

import asyncio
from collections.abc import Iterable, Mapping

from producer_service.relay import Relay, all_or_none
from shared.contracts import Lane


class Bell:
    """Wakes the relays of lanes. One that is woken for nothing costs its database a claim."""

    def __init__(self) -> None:
        """Be silent."""
        self._of_lanes = {lane: asyncio.Event() for lane in Lane}

    def of(self, lane: Lane) -> asyncio.Event:
        """Return the event that the relay of this lane waits for, and clears."""
        return self._of_lanes[lane]

    def ring(self, lanes: Iterable[Lane] = Lane) -> None:
        """Wake the relays of these lanes; of all, where nobody knows in which there is something to do."""
        for lane in lanes:
            self._of_lanes[lane].set()


class LaneRelays:
    """The relays of all lanes, as one: it runs while all run, and is interrupted when any is."""

    def __init__(self, relays: Mapping[Lane, Relay]) -> None:
        """Each has a publisher of its own: a broker that holds back a connection for its bulk holds back that one."""
        self._relays = relays

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, and return after the claims in hand. The end of one by an error ends the others."""
        await all_or_none([relay.run(stop) for relay in self._relays.values()])

    @property
    def running(self) -> bool:
        """Whether all run."""
        return all(relay.running for relay in self._relays.values())

    @property
    def interrupted_by(self) -> str:
        """What keeps one of them from publishing at the moment; empty when nothing does."""
        return next((relay.interrupted_by for relay in self._relays.values() if relay.interrupted_by), "")

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked any of them to wait."""
        return any(relay.blocked for relay in self._relays.values())

    @property
    def sessions(self) -> int:
        """How many sessions with the broker the lane that needed most has had; one is as it should be."""
        return max(relay.sessions for relay in self._relays.values())
