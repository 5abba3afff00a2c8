"""`guestnet reach`: who can reach whom, as the file promises it, and as packets find it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guestnet.faces.cli.options import Format, Options

if TYPE_CHECKING:
    from guestnet.decide.reach import Cell, Key, Measured
    from guestnet.spec.world import World


def reach(
    context: typer.Context,
    probe: Annotated[bool, typer.Option("--probe", help="Measure it too, with packets.")] = False,
    target: Annotated[
        list[str] | None, typer.Option(help="An address in the internet to probe, instead of the gateway.")
    ] = None,
) -> int:
    """Show who can reach whom, per family, and why; measured with --probe (exit code 1 when that differs)."""
    from guestnet.act.measure import measure
    from guestnet.decide.reach import predict
    from guestnet.faces.cli.measured import place

    options: Options = context.obj
    host, _ = place(options, "reach", target or [])
    world = host.world
    cells = predict(world, host.facts)
    found: tuple[Measured, ...] = ()
    if probe:
        found = measure(host, cells, lambda text: print(text, file=sys.stderr, flush=True))
    measured = {one.cell.key: one for one in found}
    wrong = [one for one in found if one.right is False]
    if options.format is Format.json:
        typer.echo(json.dumps({"cells": [_data(cell, measured.get(cell.key)) for cell in cells]}, indent=2))
    else:
        _print(cells, measured, _modes(world))
    return 1 if wrong else 0


def _modes(world: World) -> dict[str, str]:
    found: dict[str, str] = {network.name: network.mode for network in world.networks}
    return found | {lan.name: lan.mode for lan in world.lans}


def _data(cell: Cell, one: Measured | None) -> dict[str, Any]:
    """The stable shape: see docs/reach.md."""
    shown: dict[str, Any] = {
        "from": {"kind": cell.source.kind, "name": cell.source.name},
        "to": {"kind": cell.target.kind, "name": cell.target.name},
        "family": f"ipv{cell.family}",
        "predicted": cell.verdict,
        "reason": cell.reason,
    }
    if one is not None:
        shown |= {"measured": one.verdict, "heard": one.text, "as_predicted": one.right}
    return shown


def _print(cells: tuple[Cell, ...], measured: Mapping[Key, Measured], modes: Mapping[str, str]) -> None:
    from guestnet.decide.reachtext import reasons, table

    for line in table(cells, measured, modes):
        typer.echo(line)
    typer.echo()
    for line in reasons(cells, measured):
        typer.echo(line)
    if measured:
        known = [one for one in measured.values() if one.right is not None]
        right = sum(one.right is True for one in known)
        typer.echo(f"\n{len(known)} cells measured, {right} as predicted (the internet's side from a link of our own)")
