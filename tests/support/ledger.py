"""The oracle of every fault test: what was accepted is accounted for, and nothing was done twice.

Accepted = effects + dead letters + what is visibly on its way. Whoever reads the ledger first lets the system come
to rest; a ledger that is read too early complains about what merely has not happened yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

PUBLISHED = "published"
AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Account:
    """What became, at one subscriber, of the messages it was sent; everything by message id."""

    queue: str
    effects: Mapping[str, Sequence[str]]
    """The mark of each effect: the Message-ID of each mail, the Idempotency-Key of each call, the key of each row."""
    dead: Mapping[str, str] = field(default_factory=dict)
    """The reason of each dead letter."""
    held: AbstractSet[str] = frozenset()
    """What still stands in the queue or on a rung, where an operator sees it."""
    may_repeat: AbstractSet[str] = frozenset()
    """Those whose worker died in a window that the documentation names. Never any for rows of a database."""
    may_be_ambiguous: AbstractSet[str] = frozenset()
    """Those whose worker died with them, where nothing must be repeated: done or not, they may be dead letters."""

    def complaints(self, published: AbstractSet[str]) -> Iterator[str]:
        """Say what is wrong with this account, one line each."""
        for message in sorted(published - self.effects.keys() - self.dead.keys() - self.held):
            yield f"{self.queue}: {message} is lost"
        for message in sorted((self.effects.keys() & self.dead.keys()) - self._ambiguous()):
            yield f"{self.queue}: {message} was done, and is dead as {self.dead[message]}"
        for message in sorted(self._ambiguous() - self.may_be_ambiguous):
            yield f"{self.queue}: {message} is dead as {AMBIGUOUS}, and no worker died with it"
        for message, marks in sorted(self.effects.items()):
            yield from self._repetition(message, marks)

    def _ambiguous(self) -> AbstractSet[str]:
        return {message for message, reason in self.dead.items() if reason == AMBIGUOUS}

    def _repetition(self, message: str, marks: Sequence[str]) -> Iterator[str]:
        if len(set(marks)) > 1:
            yield f"{self.queue}: the repeated effects of {message} differ in their marks: {sorted(set(marks))}"
        elif len(marks) > 1 and message not in self.may_repeat:
            yield f"{self.queue}: {message} had its effect {len(marks)} times"


@dataclass(frozen=True, slots=True)
class Ledger:
    """One run: what clients were promised, what the outbox says, and one account for each subscriber."""

    accepted: AbstractSet[str]
    """Messages whose commit, or whose request, was answered with success."""
    outbox: Mapping[str, str]
    """The status of every row that was ever recorded."""
    accounts: Sequence[Account]

    def complaints(self) -> list[str]:
        """Return every way in which the run broke a promise, one line each; none means that the ledger balances."""
        lost = [
            f"outbox: {message} was accepted, and is lost" for message in sorted(self.accepted - self.outbox.keys())
        ]
        published = {message for message, status in self.outbox.items() if status == PUBLISHED}
        found = [complaint for account in self.accounts for complaint in account.complaints(published)]
        return [*lost, *self._ghosts(), *found]

    def _ghosts(self) -> Iterator[str]:
        for account in self.accounts:
            for message in sorted((account.effects.keys() | account.dead.keys()) - self.outbox.keys()):
                yield f"{account.queue}: {message} was never committed"
