"""The catalogue as one HTML page that needs nothing but itself: no script, no font, no other host."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from producer_service.catalogue.entries import Entry

PARTS = files("producer_service.catalogue")
STYLE = PARTS.joinpath("page.css").read_text(encoding="utf-8")
DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Nothing may run, load or frame this page, and its one style sheet is known by its hash."""


def render(entries: Sequence[Entry]) -> str:
    """Return the page. Whatever the entries say is text in it, and never markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pretty"] = _pretty
    template = environment.from_string(PARTS.joinpath("page.html.j2").read_text(encoding="utf-8"))
    kinds = [(kind, [entry for entry in entries if entry.kind == kind]) for kind in ("event", "command")]
    return template.render(style=Markup(STYLE), entries=entries, kinds=[each for each in kinds if each[1]])  # noqa: S704 - our own file


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
