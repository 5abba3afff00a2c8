"""`guestnet reach`: who can reach whom, as the file promises it, and as packets find it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Options

if TYPE_CHECKING:
    from guestnet.act.measure import How
    from guestnet.decide.case import Followed
    from guestnet.decide.reach import Cell, Key, Measured
    from guestnet.spec.world import World


def reach(
    context: typer.Context,
    probe: Annotated[bool, typer.Option("--probe", help="Measure it too, with packets.")] = False,
    target: Annotated[
        list[str] | None, typer.Option(help="An address in the internet to probe, instead of the gateway.")
    ] = None,
    lan: Annotated[
        bool, typer.Option("--lan", help="Measure bridge and macvtap too: two more MACs on the LAN for a while.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="ssh:HOST", help="Who asks from the internet, instead of a link of our own."),
    ] = None,
) -> int:
    """Show who can reach whom, per family, and why; measured with --probe (exit code 1 when that differs)."""
    from guestnet.act.brokenhop import broken_hops
    from guestnet.act.measure import measure
    from guestnet.act.uplink6 import unanswered
    from guestnet.decide.prefer.uses import families
    from guestnet.decide.reach import predict
    from guestnet.faces.cli.measured import place
    from guestnet.host import preferences

    options: Options = context.obj
    how = _how(probe, lan, source)
    host, drift = place(options, "reach", target or [])
    cells = predict(host.world, host.facts)
    if not probe:
        first = families(host.world, host.facts, preferences.records())
        return _predicted(options, cells, _modes(host.world), first)
    begun = time.monotonic()
    found, dead = unanswered(host, measure(host, cells, say, how))
    seconds = time.monotonic() - begun
    followed = {**broken_hops(host, [one for one in found if one.cell.key not in dead], drift, say, how), **dead}
    if options.format is Format.json:
        typer.echo(json.dumps({"cells": [_data(one.cell) | _heard(one, followed) for one in found]}, indent=2))
    else:
        _print(found, followed, _modes(host.world), seconds)
    return 1 if any(one.right is False for one in found) else 0


def _how(probe: bool, lan: bool, source: str | None) -> How:
    from guestnet.act.measure import How
    from guestnet.words.problems import GuestnetError, WrongError
    from guestnet.words.remote import parse_remote

    for option, given in (("--lan", lan), ("--from", source is not None)):
        if given and not probe:
            raise GuestnetError(f"{option} says how to measure, and nothing is measured", "add --probe")
    try:
        return How(lan, "" if source is None else parse_remote(source))
    except WrongError as error:
        raise GuestnetError(error.what, error.todo) from None


def _modes(world: World) -> dict[str, str]:
    found: dict[str, str] = {network.name: network.mode for network in world.networks}
    return found | {lan.name: lan.mode for lan in world.lans}


def _data(cell: Cell) -> dict[str, Any]:
    """The stable shape: see docs/reach.md."""
    return {
        "from": {"kind": cell.source.kind, "name": cell.source.name},
        "to": {"kind": cell.target.kind, "name": cell.target.name},
        "family": f"ipv{cell.family}",
        "predicted": cell.verdict,
        "reason": cell.reason,
    }


def _heard(one: Measured, followed: Mapping[Key, Followed]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "measured": one.verdict,
        "heard": one.text,
        "as_predicted": one.right,
        "simulated": one.simulated,
    }
    if one.right is False:
        why = followed.get(one.cell.key)
        shown |= {name: getattr(why, name, "") or None for name in ("broken_hop", "let_through", "todo")}
    return shown


def _predicted(options: Options, cells: tuple[Cell, ...], modes: Mapping[str, str], first: Mapping[str, str]) -> int:
    """first: the family that each guest tries first."""
    from guestnet.decide.prefer.uses import lines
    from guestnet.decide.reachtext import reasons, table

    if options.format is Format.json:
        typer.echo(json.dumps({"cells": [_data(cell) for cell in cells], "guests": dict(first)}, indent=2))
        return 0
    for line in (*table(cells, {}, modes, probed=False), "", *reasons(cells), *lines(first)):
        typer.echo(line)
    return 0


def _print(
    found: Sequence[Measured], followed: Mapping[Key, Followed], modes: Mapping[str, str], seconds: float
) -> None:
    from rich.console import Console
    from rich.text import Text

    from guestnet.decide.reachtext import differences, summary, table, unmeasured

    console = Console(highlight=False, soft_wrap=True)
    measured = {one.cell.key: one for one in found}
    for line in table([one.cell for one in found], measured, modes, probed=True):
        text = Text(line)
        text.highlight_regex(r"\S+!", "bold red")
        console.print(text)
    for part in (differences(found, followed, modes), unmeasured(found)):
        for line in ("", *part) if part else ():
            typer.echo(line)
    typer.echo(f"\n{summary(found, seconds)}; guestnet reach: why each is predicted so")
