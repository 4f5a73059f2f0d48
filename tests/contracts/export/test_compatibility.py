"""The gate: every change that old messages or old readers could not bear is named. The oracle is another checker."""

import copy
import json

import jsoncompat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.contracts.compatibility import breaks

OLD = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string", "maxLength": 200, "minLength": 2, "pattern": "^[a-z]+$", "default": "ann"},
        "size": {"enum": ["s", "m"]},
        "count": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 9}},
        "notes": {"type": "object", "additionalProperties": {"type": "string"}},
        "home": {"$ref": "#/$defs/Place"},
    },
    "required": ["id", "size"],
    "$defs": {"Place": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}},
}
MESSAGES, READERS = "a recorded message may not fit any more", "an old reader may refuse what is written now"


def changed(change):
    new = copy.deepcopy(OLD)
    change(new)
    return new


def field(name, **keywords):
    def change(schema):
        schema["properties"][name] = {**schema["properties"][name], **keywords}

    return change


def required(*names):
    return lambda schema: schema.update(required=list(names))


def place(**changes):
    return lambda schema: schema["$defs"]["Place"].update(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda schema: schema["properties"].pop("name"), "/properties/name: was removed; an old reader would take"),
        (required("id", "size", "name"), f"/properties/name: became required; {MESSAGES}"),
        (required("id"), f"/properties/size: became optional; {READERS}"),
        (field("name", maxLength=100), f"/properties/name/maxLength: was 200, is 100; {MESSAGES}"),
        (field("name", maxLength=300), f"/properties/name/maxLength: was 200, is 300; {READERS}"),
        (field("name", minLength=1), f"/properties/name/minLength: was 2, is 1; {READERS}"),
        (field("name", minLength=3), f"/properties/name/minLength: was 2, is 3; {MESSAGES}"),
        (field("id", maxLength=36), f"/properties/id/maxLength: was absent, is 36; {MESSAGES}"),
        (field("name", pattern="^[A-Z]+$"), "/properties/name/pattern: was '^[a-z]+$', is '^[A-Z]+$'; a recorded"),
        (field("name", type="integer"), "/properties/name/type: was 'string', is 'integer'; a recorded"),
        (field("name", default="bob"), "/properties/name/default: was 'ann', is 'bob'; the same message would mean"),
        (field("size", enum=["s"]), f"/properties/size/enum: lost 'm'; {MESSAGES}"),
        (field("size", enum=["s", "m", "l"]), f"/properties/size/enum: gained 'l'; {READERS}"),
        (lambda schema: schema["properties"]["size"].pop("enum"), f"/enum: was ['s', 'm'], is absent; {READERS}"),
        (field("id", enum=["a"]), f"/properties/id/enum: was absent, is ['a']; {MESSAGES}"),
        (field("count", anyOf=[{"type": "integer", "maximum": 8}, {"type": "null"}]), "/anyOf/0/maximum: was 9, is 8"),
        (field("count", anyOf=[{"type": "null"}]), "/properties/count/anyOf: was [{'type'"),
        (field("tags", items={"type": "string", "maxLength": 8}), "/properties/tags/items/maxLength: was 9, is 8"),
        (field("notes", additionalProperties={"type": "integer"}), "/notes/additionalProperties/type: was 'string'"),
        (
            field("notes", properties={"a": {}}),
            f"/properties/notes/properties/a: is new where names were free; {READERS}",
        ),
        (place(properties={"town": {"type": "integer"}}), "/properties/home/properties/town/type: was 'string'"),
        (place(required=[]), f"/properties/home/properties/town: became optional; {READERS}"),
        (lambda schema: schema.update(additionalProperties=False), "/additionalProperties: was absent, is False"),
        (field("id", unheardOf=1), "/properties/id/unheardOf: was absent, is 1; a recorded message may not fit"),
        (field("size", const="s"), "/properties/size/const: was absent, is 's'; a recorded message may not fit"),
    ],
)
def test_what_somebody_could_not_bear_is_named_with_where_what_and_why(change, said):
    found = [str(each) for each in breaks(OLD, changed(change))]

    assert len(found) == 1
    assert said in found[0]


def test_a_new_field_that_is_required_is_missing_in_what_was_recorded():
    new = changed(
        lambda schema: schema["properties"].update(more={"type": "string"}) or required("id", "size", "more")(schema)
    )

    assert [str(each) for each in breaks(OLD, new)] == [f"/properties/more: is new and required; {MESSAGES}"]


@pytest.mark.parametrize(
    "change",
    [
        lambda _schema: None,
        lambda schema: schema["properties"].update(more={"type": "string", "default": ""}),
        lambda schema: schema.update(title="Other", description="Said better", examples=[{}]),
        field("name", description="Said better", examples=["bob"]),
        lambda schema: schema.update(required=["size", "id"]),
        lambda schema: (
            schema["$defs"].update(Town=schema["$defs"].pop("Place"))
            or schema["properties"].update(home={"$ref": "#/$defs/Town"})
        ),
    ],
    ids=["nothing", "optional field", "words", "a field's words", "order", "a definition's name"],
)
def test_what_nobody_notices_is_no_break(change):
    assert breaks(OLD, changed(change)) == ()


def test_a_number_is_not_a_truth_though_python_holds_them_for_equal():
    assert breaks({"const": True}, {"const": 1})
    assert breaks({"enum": [1]}, {"enum": [True]})


def test_a_schema_that_holds_itself_is_compared_once():
    def tree(kind):
        inner = {"type": "object", "properties": {"left": {"$ref": "#/$defs/T"}, "leaf": {"type": kind}}}
        return {"$ref": "#/$defs/T", "$defs": {"T": inner}}

    assert breaks(tree("string"), tree("string")) == ()
    assert [each.pointer for each in breaks(tree("string"), tree("integer"))] == ["/properties/leaf/type"]


def test_a_name_with_a_slash_is_one_step_of_a_pointer():
    (found,) = breaks({"properties": {"a/b~c": {"type": "string"}}}, {"properties": {}})

    assert found.pointer == "/properties/a~1b~0c"


TYPES = st.sampled_from(["string", "integer", "null", "boolean"])
SIMPLE = st.fixed_dictionaries(
    {}, optional={"type": TYPES, "maxLength": st.integers(0, 3), "minLength": st.integers(0, 3), "enum": st.just(["a"])}
)
OBJECTS = st.dictionaries(
    st.sampled_from("abc"), SIMPLE | st.builds(lambda inner: {"type": "array", "items": inner}, SIMPLE), max_size=3
).flatmap(
    lambda fields: st.builds(
        lambda names: {"type": "object", "properties": fields, "required": sorted(names)},
        st.sets(st.sampled_from(sorted(fields))) if fields else st.just(set()),
    )
)


def closed(schema):
    """A writer sends what it names, and nothing else; a reader bears more. That is how the oracle is told."""
    return json.dumps({**schema, "additionalProperties": False})


@st.composite
def edits(draw):
    """A schema, and what one change has made of it."""
    old = draw(OBJECTS.filter(lambda schema: schema["properties"]))
    name = draw(st.sampled_from(sorted(old["properties"])))
    others = [each for each in old["required"] if each != name]
    fields = old["properties"]
    if draw(st.booleans()):
        return old, {**old, "required": others if name in old["required"] else [*others, name]}
    if draw(st.booleans()):
        return old, {**old, "properties": {**fields, name: {**fields[name], **draw(SIMPLE)}}}
    kept = {key: value for key, value in fields.items() if key != name}
    return old, {**old, "properties": {**kept, "more": draw(SIMPLE)}, "required": others}


@given(edits())
def test_what_another_checker_finds_is_always_named(edit):
    old, new = edit

    bears_old_messages = jsoncompat.check_compat(closed(old), json.dumps(new), "deserializer")
    old_readers_bear_it = jsoncompat.check_compat(json.dumps(old), closed(new), "serializer")

    assert breaks(old, new) or (bears_old_messages and old_readers_bear_it)


@given(OBJECTS, st.sampled_from("abcd"), SIMPLE)
def test_a_field_that_may_be_absent_can_be_added_and_another_checker_agrees(old, name, added):
    if name in old["properties"]:
        return
    new = {**old, "properties": {**old["properties"], name: added}}

    assert breaks(old, new) == ()
    assert jsoncompat.check_compat(closed(old), json.dumps(new), "deserializer")
    assert jsoncompat.check_compat(json.dumps(old), closed(new), "serializer")
