"""`python -m consumer_service dead-letters list | groups | show | replay | edit | discard | purge`."""

import typer

from consumer_service.command_line.deciding import discard, edit, purge
from consumer_service.command_line.replaying import replay
from consumer_service.command_line.showing import groups, list_, show


def dead_letters_cli() -> typer.Typer:
    """Return the commands on dead letters."""
    cli = typer.Typer(no_args_is_help=True, help="See what could not be done, and send it back with care.")
    cli.command("list")(list_)
    cli.command()(groups)
    cli.command()(show)
    cli.command()(replay)
    cli.command()(edit)
    cli.command()(discard)
    cli.command()(purge)
    return cli
