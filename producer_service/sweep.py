"""Where in the outbox the next claim begins."""

from dataclasses import dataclass

SWEEP_SECONDS = 1.0


@dataclass(slots=True)
class Sweep:
    """One way through the outbox, from its beginning, claim by claim.

    Only a saving: thousands of rows that wait behind a parked one are looked at once a second, not once a claim.
    Nothing is missed by it, because every sweep begins at the beginning: a row that was committed late, or was
    postponed, is found by the next one.
    """

    after: int = 0
    found: bool = False
    begun: float = 0.0

    def goes_on(self, *, last: int, full: bool, found: bool, clock: float) -> bool:
        """Take a step, given what the last claim met; return whether the next claim should follow at once.

        It should while there may be more further on, and when a sweep of several claims has found anything at all: what
        its first one passed over may be free by now. A single claim has seen everything.
        """
        self.found = self.found or found
        if not self.after:
            self.begun = clock
        if full and clock - self.begun < SWEEP_SECONDS:
            self.after = last
            return True
        found = self.found and (full or bool(self.after))
        self.after, self.found = 0, False
        return found
