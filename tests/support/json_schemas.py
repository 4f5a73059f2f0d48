"""Whatever fits a schema of ours, as a strategy. A keyword that it does not know is an error, and not ignored."""

from typing import Any

from hypothesis import strategies as st

SAID_TO_PEOPLE = {"$schema", "$id", "title", "description", "examples", "default"}
TEXT = st.characters(exclude_categories=["Cs"])


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw values that fit: what a writer who knows nothing but the schema may send."""
    keywords = {key: value for key, value in schema.items() if key not in SAID_TO_PEOPLE}
    match keywords.pop("type", None):
        case "string":
            return _strings(keywords)
        case "object":
            return _objects(**keywords)
        case "integer":
            return st.integers(keywords.pop("minimum", None), keywords.pop("maximum", None))
        case "boolean":
            return st.booleans()
        case _:
            raise NotImplementedError(f"teach this strategy {schema}")


def _strings(keywords: dict[str, Any]) -> st.SearchStrategy[str]:
    if keywords == {"format": "uuid"}:
        return st.uuids().map(str)
    least, most, pattern = (keywords.pop(name, None) for name in ("minLength", "maxLength", "pattern"))
    if keywords:
        raise NotImplementedError(f"teach this strategy {keywords}")
    if pattern is None:
        return st.text(TEXT, min_size=least or 0, max_size=most)
    drawn = st.from_regex(pattern.removesuffix("$") + r"\Z", alphabet=TEXT)
    return drawn.filter(lambda text: (least or 0) <= len(text) <= (most or len(text)))


def _objects(
    *, properties: dict[str, Any] | None = None, required: tuple[str, ...] = (), **others: Any
) -> st.SearchStrategy[dict[str, Any]]:
    if properties is None:
        most = others.pop("maxProperties", 5)
        return st.dictionaries(st.text(TEXT), fitting(others.pop("additionalProperties")), max_size=min(most, 5))
    if others:
        raise NotImplementedError(f"teach this strategy {others}")
    fields = {name: fitting(each) for name, each in properties.items()}
    optional = {name: each for name, each in fields.items() if name not in required}
    return st.fixed_dictionaries({name: fields[name] for name in required}, optional=optional)
