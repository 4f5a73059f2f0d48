"""The page: whole, readable without a mouse, and with nothing in it that came from elsewhere."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from support.entries import AN_ENTRY

from producer_service.catalogue.fields import Field, Rule
from producer_service.catalogue.page import headers, read_style, render
from producer_service.catalogue.shelf import read_shelf

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Reads a page as a browser would: which elements it has, and whether each is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag, name):
        return [attributes.get(name) for found, attributes in self.elements if found == tag and name in attributes]


STYLE = read_style()
WHOLE = Outline(render(read_shelf().entries, STYLE))


def test_every_element_is_closed_and_every_id_is_there_once():
    ids = [attributes["id"] for _, attributes in WHOLE.elements if "id" in attributes]

    assert WHOLE.open == []
    assert sorted(set(ids)) == sorted(ids)
    assert {href.removeprefix("#") for href in WHOLE.all("a", "href") if href.startswith("#")} <= set(ids)


def test_it_needs_no_script_and_no_other_host():
    tags = {tag for tag, _ in WHOLE.elements}
    links = WHOLE.all("a", "href")

    assert not tags & {"script", "link", "img", "iframe", "form", "object"}
    assert all(re.match(r"#|v1/", href) for href in links)
    assert not re.search(r"url\(|@import|//", STYLE)
    assert not any(name.startswith("on") or name == "style" for _, attributes in WHOLE.elements for name in attributes)


def test_the_policy_lets_in_the_one_style_sheet_and_nothing_else():
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    page, policy = render(read_shelf().entries, STYLE), headers(STYLE)["Content-Security-Policy"]

    assert f"<style>{STYLE}</style>" in page
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "unsafe" not in policy


def test_it_can_be_read_by_ear_and_walked_by_keyboard():
    scrolling = [attributes for tag, attributes in WHOLE.elements if attributes.get("tabindex") == "0"]

    assert ("html", {"lang": "en"}) in WHOLE.elements
    assert {"header", "nav", "main"} <= {tag for tag, _ in WHOLE.elements}
    assert set(WHOLE.all("th", "scope")) == {"col", "row"}
    assert scrolling
    assert all(attributes.get("aria-label") for attributes in scrolling)
    assert "prefers-color-scheme: dark" in STYLE


@pytest.mark.parametrize("where", ["type", "owner", "meaning", "exchange", "publisher", "schema_id"])
def test_whatever_an_entry_says_is_text_and_never_markup(where):
    outline = Outline(render([replace(AN_ENTRY, **{where: HOSTILE})], STYLE))

    assert "script" not in {tag for tag, _ in outline.elements}
    assert HOSTILE in outline.text
    assert outline.open == []


def test_whatever_a_field_an_example_or_a_subscriber_says_is_text_as_well():
    field = Field(HOSTILE, HOSTILE, required=True, rules=(Rule(HOSTILE, HOSTILE),), meaning=HOSTILE)
    subscribers = (replace(AN_ENTRY.subscribers[0], queue=HOSTILE, task=HOSTILE, meaning=HOSTILE),)

    outline = Outline(
        render([replace(AN_ENTRY, fields=(field,), example={"a": HOSTILE}, subscribers=subscribers)], STYLE)
    )

    assert "script" not in {tag for tag, _ in outline.elements}
    assert outline.open == []


def test_a_message_that_nobody_takes_says_so():
    assert "No task of this system takes it." in Outline(render([replace(AN_ENTRY, subscribers=())], STYLE)).text


def test_a_kind_of_which_there_is_none_has_no_heading():
    assert "Commands" not in Outline(render([AN_ENTRY], STYLE)).text
