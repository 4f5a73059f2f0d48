import re
from html.parser import HTMLParser

import jinja2
import pytest

from consumer_service.outcome import PermanentFailure
from consumer_service.rendering import MailTemplates, as_name

VARIABLES = {
    "welcome": {"name": "Ada"},
    "verify_email": {"name": "Ada", "link": "https://app.example.org/verify-email?token=x.y&z=1", "hours": 24},
    "reset_password": {"name": "Ada", "link": "https://app.example.org/reset-password?token=x.y&z=1", "minutes": 30},
    "verification_code": {"name": "Ada", "code": "004711", "minutes": 10},
    "already_registered": {"name": "Ada"},
    "already_verified": {"name": "Ada"},
    "password_changed": {"name": "Ada"},
    "no_account": {},
    "message": {"subject": "Maintenance & rest", "text": "Tonight <b>at ten</b>.\n\nThank you."},
}
TEMPLATES = MailTemplates()
EVERY_ONE = [(name, locale) for name in VARIABLES for locale in ("en", "zh")]


def render(template, locale="en", **variables):
    return TEMPLATES.render(template, locale, {"product": "Tidings", **VARIABLES[template], **variables})


class Elements(HTMLParser):
    """Collects what a mail program would show and what it would load or follow."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.links, self.attributes, self.lang = "", set(), set(), set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links |= {value for name, value in attributes if name == "href"}
        self.lang = self.lang or dict(attributes).get("lang", "")

    def handle_data(self, text):
        self.text += text


def test_every_template_is_written_in_english_and_chinese():
    assert sorted(TEMPLATES.known) == sorted(EVERY_ONE)


@pytest.mark.parametrize(("name", "locale"), EVERY_ONE)
def test_the_subject_is_one_line_and_speaks_the_language(name, locale):
    rendered = render(name, locale)

    assert rendered.subject
    assert len(rendered.subject.splitlines()) == 1
    assert rendered.locale == locale
    assert name == "message" or bool(re.search(r"[\u4e00-\u9fff]", rendered.subject)) == (locale == "zh")


@pytest.mark.parametrize(("name", "locale"), EVERY_ONE)
def test_the_plain_part_is_complete_by_itself(name, locale):
    given = VARIABLES[name]

    text = render(name, locale).text

    assert all(str(value) in text for variable, value in given.items() if variable != "subject")
    assert "Tidings" in text
    assert not re.search(r"[<>{}]", text.replace("<b>", "").replace("</b>", ""))


@pytest.mark.parametrize(("name", "locale"), EVERY_ONE)
def test_opening_the_page_loads_nothing_from_anywhere(name, locale):
    html = render(name, locale).html

    page = Elements(html)
    assert page.lang == locale
    assert not page.tags & {"img", "link", "script", "iframe", "object", "video", "svg", "base"}
    assert not page.attributes & {"src", "srcset", "background", "onload", "onclick"}
    assert page.links == {VARIABLES[name]["link"]} if "link" in VARIABLES[name] else not page.links
    assert not re.search(r"url\(|@import|@font-face", html)


@pytest.mark.parametrize("name", ["verify_email", "reset_password", "verification_code"])
def test_what_the_mail_is_for_stands_in_both_parts(name):
    rendered = render(name, "zh")

    purpose = VARIABLES[name].get("link") or VARIABLES[name]["code"]
    assert purpose in rendered.text
    assert purpose in Elements(rendered.html).text


def test_what_people_wrote_is_text_and_never_markup():
    rendered = render("message", subject="<i>Hello</i>", text="<script>alert(1)</script>\nsecond & last")

    assert rendered.subject == "<i>Hello</i>"
    assert "<script>alert(1)</script>\nsecond & last" in rendered.text
    page = Elements(rendered.html)
    assert not page.tags & {"i", "script"}
    assert "alert(1)" in page.text
    assert "br" in page.tags


@pytest.mark.parametrize("locale", ["zh", "zh-CN", "ZH-hans-cn"])
def test_the_closest_language_is_taken(locale):
    assert render("welcome", locale).locale == "zh"


@pytest.mark.parametrize("locale", ["de", "de-AT", "", "-", "zhx"])
def test_a_language_we_do_not_write_falls_back_to_english(locale):
    assert render("welcome", locale).locale == "en"


@pytest.mark.parametrize("name", ["farewell", "../layouts/en", "welcome/en", ""])
def test_an_unknown_template_is_named_and_final(name):
    with pytest.raises(PermanentFailure, match=re.escape(f"no mail template {name!r}")):
        TEMPLATES.render(name, "en", {"product": "Tidings"})


@pytest.mark.parametrize(("name", "missing"), [(name, each) for name, given in VARIABLES.items() for each in given])
def test_a_missing_variable_is_named_and_final(name, missing):
    given = {"product": "Tidings", **VARIABLES[name]}
    del given[missing]

    with pytest.raises(PermanentFailure, match=f"'{name}' lacks a variable: '{missing}'"):
        TEMPLATES.render(name, "en", given)


def test_a_broken_template_stops_the_start(tmp_path):
    folder = tmp_path / "mail" / "welcome" / "en"
    folder.mkdir(parents=True)
    (folder / "subject.txt.j2").write_text("{% if %}")

    with pytest.raises(jinja2.TemplateSyntaxError):
        MailTemplates(tmp_path)


@pytest.mark.parametrize("name", ["Ada", "Ada King, Countess of Lovelace", "J.R. Tolkien", "艾达", "O'Neill", "Dr. No"])
def test_a_name_is_greeted(name):
    assert as_name(name) == name
    assert f"Hello {name}," in render("welcome", name=name).text


@pytest.mark.parametrize(
    "name",
    [
        "win.example",
        "see https://x.example",
        "www.x",
        "a@b",
        "x/y",
        "\u202egnp.exe",
        "例子。中国",
        "very long " * 7,
        " ",
        "",
    ],
)
def test_a_name_that_could_pass_for_a_link_is_left_out(name):
    assert as_name(name) == ""
    assert "Hello,\n" in render("verify_email", name=name).text
