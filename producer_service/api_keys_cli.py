"""`python -m producer_service api-keys create | list | rotate | revoke`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from producer_service.command_line import on_database, refuse
from producer_service.ingestion.issuing import Issuing, Listed, NoSuchKey
from producer_service.ingestion.scopes import is_pattern, is_source
from producer_service.moments import span
from producer_service.outbox_print import NOTHING, aligned, cell
from producer_service.settings import DatabaseSettings, load_settings

KeyId = Annotated[str, typer.Argument(help="The id of the key: the middle part of tdk_<id>_<secret>.")]
Lasts = Annotated[str | None, typer.Option(help="How long the key lasts: 90d, 12h; for ever if left out.")]

LONGEST_CLIENT = 64

ONCE = "This is the only time that the secret is shown; only its hash is kept."


def create(
    client: Annotated[str, typer.Argument(help="Who will use it: a name of yours for the service.")],
    *,
    type: Annotated[list[str], typer.Option(help="What it may send: order.*, mail.send, #. May be repeated.")],  # noqa: A002 - the option's name
    source: Annotated[
        list[str], typer.Option(help="A source it may speak for: /shop, or /shop/* for all below. May be repeated.")
    ],
    rate: Annotated[int, typer.Option(min=0, help="Events a second, for each API process; 0: no limit.")] = 1000,
    lasts: Lasts = None,
) -> None:
    """Make a key for a service that sends events over HTTP, and show it, once."""
    _check(client, type, source)
    lasting = _span("--lasts", lasts)
    made = on_database(
        load_settings(DatabaseSettings),
        lambda engine: Issuing(engine).create(client, types=type, sources=source, rate=rate, lasts=lasting),
    )
    _show(made)


def list_(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those too that were revoked or have expired.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List keys, without their secrets, and when each was last used (to the minute)."""
    keys = on_database(load_settings(DatabaseSettings), lambda engine: Issuing(engine).keys(also_dead=every))
    typer.echo(json.dumps([asdict(key) for key in keys], indent=2, default=str) if as_json else _table(keys))


def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[str, typer.Option(help="How long the old key still works: 24h, 7d.")] = "24h",
    lasts: Lasts = None,
) -> None:
    """Make a key that may do what this one may; this one works on for the overlap, and then no more."""
    with_overlap, lasting = _span("--overlap", overlap) or timedelta(), _span("--lasts", lasts)
    try:
        made = on_database(
            load_settings(DatabaseSettings),
            lambda engine: Issuing(engine).rotate(key_id, overlap=with_overlap, lasts=lasting),
        )
    except NoSuchKey as error:
        refuse(str(error))
    _show(made)


def revoke(key_id: KeyId) -> None:
    """End a key now. API processes notice within 5 seconds."""
    try:
        on_database(load_settings(DatabaseSettings), lambda engine: Issuing(engine).revoke(key_id))
    except NoSuchKey as error:
        refuse(str(error))
    typer.echo(f"{key_id} revoked")


def api_keys_cli() -> typer.Typer:
    """Return these commands."""
    app = typer.Typer(no_args_is_help=True, help="Let other services send events over HTTP, or no longer.")
    app.command("list")(list_)
    for command in (create, rotate, revoke):
        app.command()(command)
    return app


def _check(client: str, types: Sequence[str], sources: Sequence[str]) -> None:
    if not (client.isprintable() and 1 <= len(client.strip()) <= LONGEST_CLIENT):
        refuse(f"CLIENT: write 1 to {LONGEST_CLIENT} characters that can be printed")
    for pattern in types:
        if not is_pattern(pattern):
            refuse(f"--type: {pattern!r} is none; write a type such as order.placed, or a pattern: order.*, #")
    for source in sources:
        if not is_source(source):
            refuse(f"--source: {source!r} is none; write a URI reference such as /shop, or /shop/* for all below")


def _span(option: str, text: str | None) -> timedelta | None:
    try:
        return None if text is None else span(text)
    except ValueError as error:
        refuse(f"{option}: {error}")


def _show(key: str) -> None:
    """Print the key alone on stdout, so that it can be piped to where it is kept."""
    typer.echo(ONCE, err=True)
    typer.echo(key)


def _table(keys: Sequence[Listed]) -> str:
    if not keys:
        return NOTHING
    rows = [[_cell(value) for value in asdict(key).values()] for key in keys]
    return "\n".join(aligned([list(Listed.__slots__), *rows]))


def _cell(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else cell(value)
