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


def read_style() -> str:
    """Return the one style sheet. Blocks for as long as a file takes."""
    return PARTS.joinpath("page.css").read_text(encoding="utf-8")


def headers(style: str) -> Mapping[str, str]:
    """Return what keeps anything from being run, loaded or framed; the style sheet is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    refused = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; {refused}",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def render(entries: Sequence[Entry], style: str) -> str:
    """Return the page. Whatever the entries say is text in it, and never markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pretty"] = _pretty
    template = environment.from_string(PARTS.joinpath("page.html.j2").read_text(encoding="utf-8"))
    kinds = [(kind, [entry for entry in entries if entry.kind == kind]) for kind in ("event", "command")]
    present = [(kind, members) for kind, members in kinds if members]
    return template.render(style=Markup(style), entries=entries, kinds=present)  # noqa: S704 - it is our own file


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
