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
from consumer_service.task import Guarantee
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

    def __init__(self, *, queue: str, dispatcher: Dispatcher, inbox: Inbox, quarantine: Quarantine) -> None:
        """Remember whom to ask."""
        self._queue = queue
        self._dispatcher = dispatcher
        self._inbox = inbox
        self._quarantine = quarantine

    async def admit(self, deliveries: Sequence[Delivery]) -> Admitted:
        """Sort these. Waits while a suspect is being worked on, and while the database is away.

        Every readable delivery counts as running in the quarantine from here on, but for the suspects.
        """
        found = [(delivery, self._dispatcher.dispatch(delivery)) for delivery in deliveries]
        readable = [each for _, each in found if isinstance(each, Assignment)]
        ended = [Settlement(delivery, each) for delivery, each in found if not isinstance(each, Assignment)]
        await self._quarantine.enter(len(readable))
        asked = [each for each in readable if is_started_first(each)]
        verdicts = await self._ask(asked)
        suspects = [each for each, verdict in zip(asked, verdicts, strict=True) if verdict is Verdict.SUSPECT]
        self._quarantine.leave(len(suspects))
        ready = [each for each in readable if not is_started_first(each)]
        for each, verdict in zip(asked, verdicts, strict=True):
            if verdict is Verdict.GRANTED:
                ready.append(each)
            elif verdict is not Verdict.SUSPECT:
                ended.append(_ended(each, verdict))
        return Admitted(ready, suspects, ended)

    async def admit_alone(self, suspect: Assignment) -> Assignment | Settlement:
        """Start one suspect, now that nothing else runs here; or end it, when too many workers died of it."""
        (verdict,) = await self._ask([suspect], alone=True)
        return suspect if verdict is Verdict.GRANTED else _ended(suspect, verdict)

    async def _ask(self, wanted: Sequence[Assignment], *, alone: bool = False) -> Sequence[Verdict]:
        if not wanted:
            return []
        return await insist(lambda: self._inbox.start(wanted, alone=alone), queue=self._queue)


def is_started_first(assignment: Assignment) -> bool:
    """Whether a start is committed before the task runs.

    A transactional task needs none: its inbox row commits with its own rows. Only after a redelivery, which may be
    the mark of a crash, is it started first as well, so that a message that kills workers is found out.
    """
    return assignment.task.guarantee is not Guarantee.TRANSACTIONAL or assignment.delivery.redelivered


def _ended(assignment: Assignment, verdict: Verdict) -> Settlement:
    return Settlement(assignment.delivery, refused(verdict), assignment, started=verdict in TO_BURY)
