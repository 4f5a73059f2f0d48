"""The fields of a schema, in words: one row for each, nested ones under dotted names. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be beyond its type. `code` is to be shown letter by letter."""

    words: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message's data."""

    name: str
    type: str
    required: bool
    rules: tuple[Rule, ...]
    meaning: str


COUNTED = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} entries"),
    ("maxItems", "at most {} entries"),
    ("minProperties", "at least {} entries"),
    ("maxProperties", "at most {} entries"),
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
)


class Fields:
    """Reads the fields of schemas that may refer to each other by name, as an AsyncAPI document's components do."""

    def __init__(self, schemas: Schema) -> None:
        """Remember what references may name."""
        self._schemas = schemas

    def of(self, name: str) -> tuple[Field, ...]:
        """Return the fields of one schema. One that holds itself is not entered twice."""
        return tuple(self._rows(self._schemas[name], "", frozenset({name})))

    def _rows(self, schema: Schema, above: str, entered: frozenset[str]) -> Iterator[Field]:
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            path = f"{above}{name}"
            yield Field(path, _type(field), name in required, tuple(_rules(field)), str(field.get("description", "")))
            inner = _inner(field)
            if inner and inner[0] not in entered and inner[0] in self._schemas:
                yield from self._rows(self._schemas[inner[0]], f"{path}{inner[1]}.", entered | {inner[0]})


def _inner(field: Schema) -> tuple[str, str] | None:
    """Return the schema that a field holds by name, and the mark of a list."""
    if "$ref" in field:
        return _named(field), ""
    if "$ref" in field.get("items", {}):
        return _named(field["items"]), "[]"
    found = [_named(each) for each in field.get("anyOf", ()) if "$ref" in each]
    return (found[0], "") if len(found) == 1 else None


def _named(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _type(field: Schema) -> str:
    if "$ref" in field:
        return _named(field)
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in field:
            return " or ".join(dict.fromkeys(_type(each) for each in field[alternatives]))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"map of {_type(field['additionalProperties'])}"
    plain = str(field.get("type", "any"))
    return f"{plain} ({field['format']})" if "format" in field else plain


def _rules(field: Schema) -> Iterator[Rule]:
    for keyword, words in COUNTED:
        if keyword in field:
            yield Rule(words.format(field[keyword]))
    if "enum" in field:
        yield Rule("one of", ", ".join(str(value) for value in field["enum"]))
    if "const" in field:
        yield Rule("always", str(field["const"]))
    if "pattern" in field:
        yield Rule("matches", str(field["pattern"]))
    for each in field.get("anyOf", ()):
        yield from _rules(each)
    if field.get("default") is not None:
        yield Rule("default", str(field["default"]) or '""')
