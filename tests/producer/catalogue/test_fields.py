import pytest

from producer_service.catalogue.fields import Field, Fields, Rule


def the_field(schema, **others):
    (field,) = Fields({"M": {"properties": {"it": schema}}, **others}).of("M")
    return field


def said(schema):
    return [f"{rule.words} {rule.code}".strip() for rule in the_field(schema).rules]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "uuid"}, "string (uuid)"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "map of string"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"$ref": "#/components/schemas/Place"}, "Place"),
        ({"enum": ["a"]}, "any"),
    ],
)
def test_a_type_is_said_in_words(schema, words):
    assert the_field(schema).type == words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"minLength": 1, "maxLength": 9}, ["at least 1 characters", "at most 9 characters"]),
        ({"minimum": 0, "exclusiveMaximum": 5}, ["at least 0", "less than 5"]),
        ({"maxProperties": 50}, ["at most 50 entries"]),
        ({"pattern": "^a$"}, ["matches ^a$"]),
        ({"enum": ["s", "m"]}, ["one of s, m"]),
        ({"const": 3}, ["always 3"]),
        ({"default": ""}, ['default ""']),
        ({"default": 0}, ["default 0"]),
        ({"default": None}, []),
        ({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}, ["at most 5 characters"]),
    ],
)
def test_a_rule_is_said_in_words(schema, words):
    assert said(schema) == words


def test_a_field_says_what_it_means_and_whether_it_must_be_there():
    schemas = {"M": {"properties": {"a": {"type": "string", "description": "First."}, "b": {}}, "required": ["a"]}}

    assert Fields(schemas).of("M") == (
        Field("a", "string", required=True, rules=(), meaning="First."),
        Field("b", "any", required=False, rules=(), meaning=""),
    )


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ({"$ref": "#/components/schemas/Place"}, ["it", "it.town"]),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Place"}}, ["it", "it[].town"]),
        ({"anyOf": [{"$ref": "#/components/schemas/Place"}, {"type": "null"}]}, ["it", "it.town"]),
    ],
)
def test_what_a_field_holds_is_listed_below_it(schema, names):
    schemas = {"M": {"properties": {"it": schema}}, "Place": {"properties": {"town": {"type": "string"}}}}

    assert [field.name for field in Fields(schemas).of("M")] == names


def test_a_schema_that_holds_itself_ends():
    tree = {"properties": {"left": {"$ref": "#/components/schemas/Tree"}, "leaf": {"const": "x"}}}

    assert [field.name for field in Fields({"Tree": tree}).of("Tree")] == ["left", "leaf"]


def test_a_code_is_kept_apart_from_the_words():
    assert the_field({"pattern": "^a|b$"}).rules == (Rule("matches", "^a|b$"),)
