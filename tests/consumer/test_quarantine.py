import asyncio

from support.waiting import eventually

from consumer_service.quarantine import Quarantine


class Suspect:
    """Enters quarantine alone, notes that it is in, and leaves when it is told."""

    def __init__(self, quarantine, journal, name):
        self.leave = asyncio.Event()
        self.running = asyncio.create_task(self._run(quarantine, journal, name))

    async def _run(self, quarantine, journal, name):
        async with quarantine.alone():
            journal.append(f"{name} in")
            await self.leave.wait()
            journal.append(f"{name} out")


async def enters(quarantine, journal, name):
    await quarantine.enter(1)
    journal.append(f"{name} in")


async def spin(times=20):
    for _ in range(times):
        await asyncio.sleep(0)


async def test_a_suspect_waits_until_everybody_is_out():
    quarantine, journal = Quarantine(), []
    await quarantine.enter(2)
    suspect = Suspect(quarantine, journal, "suspect")

    quarantine.leave(1)
    await spin()
    assert journal == []
    quarantine.leave(1)

    await eventually(lambda: journal == ["suspect in"])
    suspect.leave.set()
    await suspect.running


async def test_nobody_enters_while_a_suspect_waits_or_runs():
    quarantine, journal = Quarantine(), []
    await quarantine.enter(1)
    suspect = Suspect(quarantine, journal, "suspect")
    await spin()

    newcomer = asyncio.create_task(enters(quarantine, journal, "newcomer"))
    quarantine.leave(1)
    await spin()
    assert journal == ["suspect in"]
    suspect.leave.set()
    await asyncio.gather(newcomer, suspect.running)

    assert journal == ["suspect in", "suspect out", "newcomer in"]


async def test_suspects_are_alone_with_each_other_too():
    quarantine, journal = Quarantine(), []
    first, second = (Suspect(quarantine, journal, name) for name in ("first", "second"))
    await spin()

    first.leave.set()
    second.leave.set()
    await asyncio.gather(first.running, second.running)

    assert journal == ["first in", "first out", "second in", "second out"]


async def test_a_row_of_suspects_does_not_keep_out_those_who_waited_before_it():
    quarantine, journal = Quarantine(), []

    async def one_after_the_other():
        for number in range(3):
            async with quarantine.alone():
                journal.append(f"suspect {number}")
                await spin()

    async def newcomer():
        await quarantine.enter(1)
        journal.append("newcomer")
        await spin()
        quarantine.leave(1)

    row = asyncio.create_task(one_after_the_other())
    await spin(3)
    await asyncio.gather(row, newcomer())

    assert journal == ["suspect 0", "newcomer", "suspect 1", "suspect 2"]


async def test_a_suspect_that_is_cancelled_opens_the_door_again():
    quarantine, journal = Quarantine(), []
    await quarantine.enter(1)
    suspect = Suspect(quarantine, journal, "suspect")
    await spin()

    suspect.running.cancel()
    await asyncio.gather(suspect.running, return_exceptions=True)

    async with asyncio.timeout(1):
        await quarantine.enter(1)


async def test_entering_with_nothing_keeps_nobody_waiting():
    quarantine, journal = Quarantine(), []
    await quarantine.enter(0)

    suspect = Suspect(quarantine, journal, "suspect")

    await eventually(lambda: journal == ["suspect in"])
    suspect.leave.set()
    await suspect.running
