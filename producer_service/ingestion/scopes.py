"""What a key may send: types by pattern, and the sources it may speak for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.topology import matches

PATTERN = re.compile(r"([a-z][a-z0-9_]*|\*|#)(\.([a-z][a-z0-9_]*|\*|#))*")
SOURCE = re.compile(r"[!-)+-~]{1,255}\*?|\*")


@dataclass(frozen=True, slots=True)
class Scope:
    """The types and the sources of one key."""

    types: Sequence[str]
    """As in a topic binding: `*` is one word, `#` any number."""
    sources: Sequence[str]
    """As they are, or up to a `*` at the end."""

    def allows_type(self, wire_type: str) -> bool:
        """Tell whether messages of this type may be sent."""
        return any(matches(pattern, wire_type) for pattern in self.types)

    def allows_source(self, source: str) -> bool:
        """Tell whether it may speak for this source."""
        return any(_fits(pattern, source) for pattern in self.sources)

    def own_source(self) -> str | None:
        """Return the source of a message that names none: the first that is whole."""
        return next((source for source in self.sources if not source.endswith("*")), None)


def _fits(pattern: str, source: str) -> bool:
    return source.startswith(pattern[:-1]) if pattern.endswith("*") else source == pattern


def is_pattern(text: str) -> bool:
    """Tell whether this is a pattern of types."""
    return bool(PATTERN.fullmatch(text))


def is_source(text: str) -> bool:
    """Tell whether this is a source, or the beginning of several, followed by a `*`."""
    return bool(SOURCE.fullmatch(text))
