"""Mail templates: a subject, a plain part and an HTML part per template and language, read and compiled at start.

Adding a template is one folder: `templates/mail/<name>/<locale>/` with `subject.txt.j2`, `body.txt.j2` and
`body.html.j2`. Every template must exist in the fallback language.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError, select_autoescape

from consumer_service.outcome import PermanentFailure

TEMPLATES = Path(__file__).parent / "templates"
FALLBACK = "en"
SUBJECT = re.compile(r"mail/(?P<name>[a-z][a-z0-9_]*)/(?P<locale>[a-z0-9-]+)/subject\.txt\.j2")

NOT_A_NAME = re.compile(r"[/\\:@<>\u202a-\u202e\u2066-\u2069]|[.\u3002\uff0e\uff61]\w{2}|www\.", re.IGNORECASE)
"""What a mail program would make a link of, or what would turn the text around it."""

LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template's three parts in one language. `locale` is the language it was really written in."""

    subject: str
    text: str
    html: str
    locale: str


class MailTemplates:
    """All mail templates. Rendering reads no file and compiles nothing."""

    def __init__(self, folder: Path = TEMPLATES) -> None:
        """Compile every template, so that a broken one stops the start and not a mail. Raises TemplateError."""
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.filters["as_name"] = as_name
        names = self._environment.list_templates()
        for name in names:
            self._environment.get_template(name)
        self._known = {(found["name"], found["locale"]) for name in names if (found := SUBJECT.fullmatch(name))}

    @property
    def known(self) -> frozenset[tuple[str, str]]:
        """Every template's name, with every language it is written in."""
        return frozenset(self._known)

    def render(self, name: str, locale: str, variables: Mapping[str, object]) -> Rendered:
        """Render a template in the closest language: `zh-Hans-CN`, then `zh-Hans`, then `zh`, then English.

        Raises PermanentFailure, naming it, when there is no such template or it needs a variable that is missing.
        """
        written_in = self._closest(name, locale.lower())
        folder = f"mail/{name}/{written_in}"
        known = {**variables, "locale": written_in}
        try:
            subject = self._environment.get_template(f"{folder}/subject.txt.j2").render(known).strip()
            text = self._environment.get_template(f"{folder}/body.txt.j2").render(known).strip() + "\n"
            html = self._environment.get_template(f"{folder}/body.html.j2").render(known, title=subject).strip() + "\n"
        except UndefinedError as error:
            raise PermanentFailure(f"mail template {name!r} lacks a variable: {error.message}") from error
        return Rendered(subject, text, html, written_in)

    def _closest(self, name: str, locale: str) -> str:
        words = locale.split("-")
        for candidate in (*("-".join(words[:length]) for length in range(len(words), 0, -1)), FALLBACK):
            if (name, candidate) in self._known:
                return candidate
        raise PermanentFailure(f"there is no mail template {name!r}")


def as_name(text: str) -> str:
    """Return the text if it can only be a name, and nothing if it could pass for a link or is too long for a name.

    Strangers choose names. Whoever registers somebody else's address as "see example.org/win" must not get us to
    send that along.
    """
    name = " ".join(text.split())
    return "" if len(name) > LONGEST_NAME or NOT_A_NAME.search(name) else name
