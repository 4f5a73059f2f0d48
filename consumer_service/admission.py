"""Which of the deliveries that arrived may be worked on: the first stage of a delivery's way."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumer_service.claim import Verdict
from consumer_service.database import insist
from consumer_service.dispatch import Assignment, Dispatcher
from consumer_service.execution import refused
from consumer_service.inbox import Inbox
from consumer_service.quarantine import Quarantine
from consumer_service.settlement import Settlement
from shared.transport import Delivery

TO_BURY = frozenset({Verdict.CRASH_LOOP, Verdict.AMBIGUOUS})
"""Refusals by which this worker takes the row over, to record that it is dead."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What arrived, sorted: to be worked on, to be worked on alone, and ended before it began."""

    ready: Sequence[Assignment]
    suspects: Sequence[Assignment]
    ended: Sequence[Settlement]


class Admission:
    """Reads deliveries and asks the inbox, for as many as arrived, in one transaction."""

    def __init__(
        self, *, queue: str, dispatcher: Dispatcher, inbox: Inbox, quarantine: Quarantine, pause_seconds: float
    ) -> None:
        """Remember whom to ask, and how long to wait before asking a database that is away again."""
        self._queue = queue
        self._dispatcher = dispatcher
        self._inbox = inbox
        self._quarantine = quarantine
        self._pause_seconds = pause_seconds

    async def admit(self, deliveries: Sequence[Delivery]) -> Admitted:
        """Sort these. Waits while a suspect is being worked on, and while the database is away.

        Every readable delivery counts as running in the quarantine from here on, but for the suspects.
        """
        found = [(delivery, self._dispatcher.dispatch(delivery)) for delivery in deliveries]
        readable = [each for _, each in found if isinstance(each, Assignment)]
        ended = [Settlement(delivery, each) for delivery, each in found if not isinstance(each, Assignment)]
        await self._quarantine.enter(len(readable))
        asked = [each for each in readable if each.is_started_first]
        verdicts = dict(zip(asked, await self._ask(asked), strict=True))
        ready: list[Assignment] = []
        suspects: list[Assignment] = []
        for each in readable:
            match verdicts.get(each, Verdict.GRANTED):
                case Verdict.GRANTED:
                    ready.append(each)
                case Verdict.SUSPECT:
                    suspects.append(each)
                case verdict:
                    ended.append(_ended(each, verdict))
        self._quarantine.leave(len(suspects))
        return Admitted(ready, suspects, ended)

    async def admit_alone(self, suspect: Assignment) -> Assignment | Settlement:
        """Start one suspect, now that nothing else runs here; or end it, when too many workers died of it."""
        (verdict,) = await self._ask([suspect], alone=True)
        return suspect if verdict is Verdict.GRANTED else _ended(suspect, verdict)

    async def _ask(self, wanted: Sequence[Assignment], *, alone: bool = False) -> Sequence[Verdict]:
        if not wanted:
            return []
        return await insist(
            lambda: self._inbox.start(wanted, alone=alone), queue=self._queue, pause_seconds=self._pause_seconds
        )


def _ended(assignment: Assignment, verdict: Verdict) -> Settlement:
    return Settlement(assignment.delivery, refused(verdict), assignment, started=verdict in TO_BURY)
