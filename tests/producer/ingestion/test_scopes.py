import pytest

from producer_service.ingestion.scopes import Scope, is_pattern, is_source


def test_types_are_matched_as_in_a_topic_binding():
    scope = Scope(["order.*", "mail.send"], [])

    assert [scope.allows_type(each) for each in ("order.placed", "order.placed.v2", "mail.send", "mail.read")] == [
        True,
        False,
        True,
        False,
    ]
    assert Scope(["#"], []).allows_type("order.placed.v2")
    assert not Scope([], []).allows_type("order.placed")


def test_a_source_is_matched_whole_or_up_to_its_star():
    scope = Scope([], ["/shop", "/till/*"])

    assert [scope.allows_source(each) for each in ("/shop", "/shop/1", "/till/1", "/till")] == [
        True,
        False,
        True,
        False,
    ]
    assert (scope.own_source(), Scope([], ["/till/*"]).own_source()) == ("/shop", None)


@pytest.mark.parametrize(
    ("text", "pattern", "source"),
    [
        ("order.placed", True, True),
        ("order.*", True, True),
        ("#", True, True),
        ("*", True, True),
        ("Order.*", False, True),
        ("order.", False, True),
        ("/shop/*", False, True),
        ("/*/shop", False, False),
        ("a b", False, False),
        ("", False, False),
    ],
)
def test_what_is_a_pattern_and_what_a_source(text, pattern, source):
    assert (is_pattern(text), is_source(text)) == (pattern, source)
