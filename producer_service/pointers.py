"""JSON pointers (RFC 6901): where in a body something is wrong."""

from collections.abc import Sequence

LONGEST_POINTER = 200


def pointer_to(location: Sequence[int | str]) -> str:
    """Return the pointer to a location; the whole document is the empty one."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in location]
    return "".join(f"/{step}" for step in steps)[:LONGEST_POINTER]
