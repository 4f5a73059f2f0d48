"""Which passwords are refused (ASVS 5.0, 6.2): short ones, common ones, and ones made of what everybody knows.

Nothing else: no rules about digits and capitals, which make passwords weaker, and no expiry. A password is judged and
verified exactly as it was received: not trimmed, not folded, not normalised. `common_passwords.txt.gz` holds the 11,611
of the 30,000 most common passwords of the zxcvbn project that have eight characters or more, in lower case.
"""

import gzip
import re
from collections.abc import Iterable
from pathlib import Path

from producer_service.refusals import WeakPassword

COMMON = Path(__file__).parent / "common_passwords.txt.gz"

OWN_CHARACTERS = 8
"""How many characters must be left of a password when all that everybody knows is taken out of it."""

PARTS = re.compile(r"[\s@]+")
SHORTEST_WORD = 4
"""Characters. Shorter names are part of too many other words."""


class PasswordPolicy:
    """Judges passwords. Holds the common ones in memory, about one megabyte."""

    def __init__(self, *, known_words: Iterable[str]) -> None:
        """`known_words` are those that everybody knows about this service, such as its name. Reads one file."""
        self._known_words = tuple(known_words)
        self._common = frozenset(gzip.decompress(COMMON.read_bytes()).decode().split("\n"))

    def insist(self, password: str, *, about: Iterable[str]) -> None:
        """Raise WeakPassword for a password that would be guessed; `about` is what is known about its user.

        An address counts as a whole, and so do the parts of it and of a name.
        """
        folded = password.casefold()
        if folded in self._common:
            raise WeakPassword("is among the most common passwords; choose one that nobody else would think of")
        if len(_without(folded, [*self._known_words, *about])) < OWN_CHARACTERS:
            raise WeakPassword(
                f"must have at least {OWN_CHARACTERS} characters beside the user's name, the address and our own name"
            )


def _without(folded: str, known: Iterable[str]) -> str:
    words = {word for text in known for word in (text.casefold(), *PARTS.split(text.casefold()))}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= SHORTEST_WORD:
            folded = folded.replace(word, "")
    return folded
