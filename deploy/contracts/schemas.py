"""Contracts written down for readers who have no Python: JSON Schema 2020-12, and an example that fits it."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from shared.commands import COMMANDS, Command
from shared.contracts import Contract
from shared.envelope import schema_uri
from shared.events import EVENTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

CONTRACTS: tuple[type[Contract], ...] = (*EVENTS, *COMMANDS)
"""Every message that the two services agree on."""

FIRST = ("title", "description", "type", "properties", "required")
"""The order in which a person wants to read a schema; everything else follows by the alphabet."""


class _Plain(GenerateJsonSchema):
    """Leaves out titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def schema_of(contract: type[Contract]) -> dict[str, Any]:
    """Return the JSON Schema of a message's `data`, with an example. The same for the same class, key order included.

    It is the reader's: fields that it does not name are allowed, and ignored. Raises ValueError as `example_of` does.
    """
    found = contract.model_json_schema(schema_generator=_Plain) | {"examples": [example_of(contract)]}
    ordered = {key: found[key] for key in FIRST if key in found}
    rest = {key: value for key, value in found.items() if key not in FIRST}
    return {"$schema": DIALECT, "$id": schema_uri(contract.wire_type)} | ordered | rest


def example_of(contract: type[Contract]) -> dict[str, Any]:
    """Return `data` as a writer would send it: each field's first example, or its default.

    Raises ValueError for a field that has neither, and for examples that do not fit the contract.
    """
    fields = {name: _example(contract, name, field) for name, field in contract.model_fields.items()}
    return contract.model_validate(fields).model_dump(mode="json")


def kind_of(contract: type[Contract]) -> str:
    """Return `command` or `event`."""
    return "command" if issubclass(contract, Command) else "event"


def version_of(wire_type: str) -> int:
    """Return the major version that a wire type stands for: `user.created` is 1, `user.created.v2` is 2."""
    return int(schema_uri(wire_type).rpartition(":")[2])


def undocumented(contract: type[Contract]) -> Iterator[str]:
    """Yield, one line each, what a reader of the documents would miss about this contract, or be told wrongly."""
    if not contract.owner:
        yield f"{contract.wire_type}: nobody owns it: add `owner: ClassVar[str]` to {contract.__name__}"
    if not contract.__dict__.get("__doc__"):
        yield f"{contract.wire_type}: {contract.__name__} does not say what it means: add a docstring"
    for name, field in contract.model_fields.items():
        if not field.description:
            yield f"{contract.wire_type}: {name} does not say what it means: add Field(description=...)"
        if field.is_required() and not field.examples:
            yield f"{contract.wire_type}: {name} has no example: add Field(examples=[...])"
    yield from _misfits(contract)


def _misfits(contract: type[Contract]) -> Iterator[str]:
    """Yield what its own rules find wrong with the examples that there are."""
    there = {name: field.examples[0] for name, field in contract.model_fields.items() if field.examples}
    try:
        contract.model_validate(there)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            if each["loc"] == () or each["loc"][0] in there:
                where = ".".join(map(str, each["loc"])) or contract.__name__
                yield f"{contract.wire_type}: the example of {where} does not fit: {each['msg']}"


def _example(contract: type[Contract], name: str, field: FieldInfo) -> Any:
    if field.examples:
        return field.examples[0]
    if field.is_required():
        raise ValueError(f"{contract.__name__}.{name} has no example: add Field(examples=[...])")
    return field.get_default(call_default_factory=True, validated_data={})
