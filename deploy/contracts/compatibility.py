"""What a change of a schema breaks, both ways: may new code read old messages, and old code new ones? Pure.

Readers ignore what they do not know; writers send only what their schema names. Whatever is not known to be harmless
is reported, so a keyword that nobody here thought of is a break and not a hole. A contract keeps its promise to both
sides only if its fields keep their shape; so nearly everything but a new optional field is a new type.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

ANNOTATIONS = frozenset({"$schema", "$id", "$defs", "title", "description", "examples", "deprecated", "$comment"})
"""They say something to people, and nothing to a validator."""

WIDER_WHEN_LARGER = frozenset({"maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties"})
WIDER_WHEN_SMALLER = frozenset({"minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties"})

OLD_MESSAGES = "a recorded message may not fit any more"
OLD_READERS = "an old reader may refuse what is written now"
MEANING = "the same message would mean something else"


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that somebody could not bear, at a JSON pointer into the schema."""

    pointer: str
    what: str
    why: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.pointer or '/'}: {self.what}; {self.why}"


def breaks(old: Schema, new: Schema) -> tuple[Break, ...]:
    """Return every way in which messages or readers of the one cannot live with the other, by pointer."""
    return tuple(_Comparison(old, new).at("", old, new))


class _Comparison:
    """Walks two schemas side by side. A pair of definitions that meets itself again is compared once."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old.get("$defs", {}), new.get("$defs", {})
        self._met: set[tuple[str, str]] = set()

    def at(self, pointer: str, old: Any, new: Any) -> Iterator[Break]:
        """Compare what stands at one pointer, and below."""
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            if not _same(old, new):
                yield Break(pointer, f"was {_short(old)}, is {_short(new)}", f"{OLD_MESSAGES}, or {OLD_READERS}")
            return
        names = (old.get("$ref", ""), new.get("$ref", ""))
        if all(names):
            if names in self._met:
                return
            self._met.add(names)
        yield from self._keywords(pointer, _resolved(old, self._old), _resolved(new, self._new))

    def _keywords(self, pointer: str, old: Schema, new: Schema) -> Iterator[Break]:
        yield from self._fields(pointer, old, new)
        yield from _required(pointer, old, new)
        yield from _values(pointer, old, new)
        for keyword in sorted((old.keys() | new.keys()) - ANNOTATIONS - {"properties", "required", "enum"}):
            yield from self._keyword(pointer, keyword, old.get(keyword), new.get(keyword))

    def _fields(self, pointer: str, old: Schema, new: Schema) -> Iterator[Break]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            here = f"{pointer}/properties/{_escaped(name)}"
            if name in after:
                yield from self.at(here, before[name], after[name])
            else:
                yield Break(here, "was removed", "an old reader would take its absence, or its default, for the truth")
        for name in sorted(after.keys() - before.keys()):
            if old.get("additionalProperties", True) is not True:
                yield Break(f"{pointer}/properties/{_escaped(name)}", "is new where names were free", OLD_READERS)

    def _keyword(self, pointer: str, keyword: str, old: Any, new: Any) -> Iterator[Break]:
        here = f"{pointer}/{keyword}"
        if keyword in {"items", "additionalProperties", "contains", "propertyNames"} and old and new:
            yield from self.at(here, old, new)
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                yield from self.at(f"{here}/{index}", before, after)
        elif not _same(old, new):
            yield Break(here, f"was {_short(old)}, is {_short(new)}", _reason(keyword, old, new))


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Put a definition in the place of its reference; what stands beside the reference wins."""
    name = schema.get("$ref")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return beside if name is None else {**definitions[str(name).rpartition("/")[2]], **beside}


def _required(pointer: str, old: Schema, new: Schema) -> Iterator[Break]:
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(after - before):
        is_new = name not in old.get("properties", {})
        what = "is new and required" if is_new else "became required"
        yield Break(f"{pointer}/properties/{_escaped(name)}", what, OLD_MESSAGES)
    for name in sorted((before - after) & new.get("properties", {}).keys()):
        yield Break(f"{pointer}/properties/{_escaped(name)}", "became optional", OLD_READERS)


def _values(pointer: str, old: Schema, new: Schema) -> Iterator[Break]:
    if "enum" not in old and "enum" not in new:
        return
    before, after = old.get("enum"), new.get("enum")
    if before is None or after is None:
        why = OLD_MESSAGES if before is None else OLD_READERS
        yield Break(f"{pointer}/enum", f"was {_short(before)}, is {_short(after)}", why)
        return
    for value in before:
        if not any(_same(value, other) for other in after):
            yield Break(f"{pointer}/enum", f"lost {value!r}", OLD_MESSAGES)
    for value in after:
        if not any(_same(value, other) for other in before):
            yield Break(f"{pointer}/enum", f"gained {value!r}", OLD_READERS)


def _reason(keyword: str, old: Any, new: Any) -> str:
    if keyword == "default":
        return MEANING
    if keyword not in WIDER_WHEN_LARGER | WIDER_WHEN_SMALLER:
        return f"{OLD_MESSAGES}, or {OLD_READERS}"
    if old is None or new is None:
        return OLD_MESSAGES if old is None else OLD_READERS
    return OLD_READERS if (new > old) == (keyword in WIDER_WHEN_LARGER) else OLD_MESSAGES


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON; Python holds `true` and `1` for equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _short(value: Any) -> str:
    return "absent" if value is None else f"{value!r}"[:80]


def _escaped(name: str) -> str:
    """Write a name as a step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
