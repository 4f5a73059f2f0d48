"""`python -m consumer_service topology plan | apply | verify | doctor`."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from consumer_service.command_line.door import open_broker, run
from consumer_service.queues import topology_of
from consumer_service.registry import TASKS
from consumer_service.settings import BrokerSettings
from shared.topology import Advice, Difference
from shared.transport import Transport

AS_IT_SHOULD_BE = "the broker holds what the code needs"
AS_FAR_AS_SEEN = (
    f"{AS_IT_SHOULD_BE}, as far as AMQP shows it: with TIDINGS_MANAGEMENT_URL bindings and policies show too"
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")]


def plan(*, as_json: AsJson = False) -> None:
    """Print every way in which the broker differs from what the code needs, and advice. Changes nothing."""
    settings, transport = open_broker(BrokerSettings, quiet=True)
    differences, advice = run(_differences_and_advice(transport))
    if as_json:
        _print_json(settings, differences, advice)
        return
    for difference in differences:
        typer.echo(str(difference))
    for each in advice:
        typer.echo(f"note: {each}")
    typer.echo(_count(differences))


def apply() -> None:
    """Create what is missing. Repeating it changes nothing; nothing is ever deleted.

    Exits with code 1, and creates nothing, when something must be replaced first. What apply cannot mend is named in
    the end, and makes the code 1 as well.
    """
    settings, transport = open_broker(BrokerSettings, quiet=True)
    mended, left = run(_apply(transport))
    for difference in mended:
        typer.echo(
            f"created {difference.thing}" + ("" if difference.aspect == "existence" else f", {difference.aspect}")
        )
    if not mended:
        typer.echo("nothing to do")
    _conclude(settings, left)


def verify(*, as_json: AsJson = False) -> None:
    """Exit with code 1, naming each difference with both values, unless the broker is as the code needs it."""
    settings, transport = open_broker(BrokerSettings, quiet=True)
    differences = run(_differences(transport))
    if not as_json:
        _conclude(settings, differences)
        return
    _print_json(settings, differences, [])
    raise typer.Exit(1 if differences else 0)


def doctor() -> None:
    """Print what is no difference, but worth knowing: version, feature flags, guest, consumers, what nobody needs."""
    _, transport = open_broker(BrokerSettings, quiet=True)
    advice = run(_advice(transport))
    for each in advice:
        typer.echo(str(each))
    if not advice:
        typer.echo("nothing to say")


def topology_cli() -> typer.Typer:
    """Return these commands."""
    app = typer.Typer(no_args_is_help=True, help="Compare the broker with what the code needs, or make it so.")
    for command in (plan, apply, verify, doctor):
        app.command()(command)
    return app


async def _differences(transport: Transport) -> Sequence[Difference]:
    return await transport.plan(topology_of(TASKS))


async def _advice(transport: Transport) -> Sequence[Advice]:
    return await transport.advise(topology_of(TASKS))


async def _differences_and_advice(transport: Transport) -> tuple[Sequence[Difference], Sequence[Advice]]:
    return await _differences(transport), await _advice(transport)


async def _apply(transport: Transport) -> tuple[Sequence[Difference], Sequence[Difference]]:
    """Apply; return what was created, and what still differs."""
    return await transport.apply(topology_of(TASKS)), await _differences(transport)


def _conclude(settings: BrokerSettings, differences: Sequence[Difference]) -> None:
    for difference in differences:
        typer.echo(str(difference), err=True)
    if differences:
        raise typer.Exit(1)
    typer.echo(AS_IT_SHOULD_BE if settings.management_url else AS_FAR_AS_SEEN)


def _print_json(settings: BrokerSettings, differences: Sequence[Difference], advice: Sequence[Advice]) -> None:
    found = {
        "differences": [difference._asdict() for difference in differences],
        "advice": [each._asdict() for each in advice],
        "saw_everything": settings.management_url is not None,
    }
    typer.echo(json.dumps(found, indent=2))


def _count(differences: Sequence[Difference]) -> str:
    return "1 difference" if len(differences) == 1 else f"{len(differences) or 'no'} differences"
