"""The simple document, `docs/events.md`: every message on one page, for people who read the repository."""

import json
from collections.abc import Iterator, Sequence

from producer_service.catalogue.entries import Entry
from producer_service.catalogue.fields import Field, Rule

HEAD = """\
# Events and commands

What the two services say to each other, and to whoever binds a queue of their own. `./dev contracts export` writes this
page from the code, and `./dev check` fails where they differ. A running API serves the same as `/catalogue`; tools
read [`contracts/asyncapi.json`](../contracts/asyncapi.json) (AsyncAPI 3.1) and
[`contracts/schemas/`](../contracts/schemas/) (JSON Schema 2020-12).
"""


def page(entries: Sequence[Entry]) -> str:
    """Return the page: a table of all messages, then each with its fields, an example and who listens."""
    return "\n".join([HEAD, *_table(entries), *(line for entry in entries for line in _section(entry))])


def _table(entries: Sequence[Entry]) -> Iterator[str]:
    yield "| Type | Means | Published by | Taken by |"
    yield "|---|---|---|---|"
    for entry in entries:
        takers = "<br>".join(f"`{each.queue}` {each.task}" for each in entry.subscribers) or "nobody here"
        yield f"| [`{entry.type}`](#{_anchor(entry.type)}) | {_cell(entry.meaning)} | {entry.publisher} | {takers} |"
    yield ""


def _section(entry: Entry) -> Iterator[str]:
    yield f"## {entry.type}"
    yield ""
    yield f"{entry.meaning}"
    yield ""
    yield f"{entry.kind.capitalize()} on `{entry.exchange}`, version {entry.version}, owned by {entry.owner}."
    yield f"In the {entry.lane} lane, with the routing key `{entry.routing_key}`, unless its sender says otherwise."
    yield f"Schema: [`{entry.schema_id}`](../contracts/schemas/{entry.type}.json)."
    yield ""
    yield "| Field | Type | Required | Means | Rule |"
    yield "|---|---|---|---|---|"
    yield from (_row(field) for field in entry.fields)
    yield ""
    yield "```json"
    yield json.dumps(entry.example, indent=2, ensure_ascii=False)
    yield "```"
    yield ""


def _row(field: Field) -> str:
    rules = "; ".join(map(_rule, field.rules))
    required = "yes" if field.required else "no"
    return f"| `{field.name}` | {field.type} | {required} | {_cell(field.meaning)} | {rules} |"


def _rule(rule: Rule) -> str:
    return f"{rule.words} `{_cell(rule.code)}`" if rule.code else rule.words


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(wire_type: str) -> str:
    """Return what GitHub makes of the heading."""
    return wire_type.replace(".", "")
