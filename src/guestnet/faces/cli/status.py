"""`guestnet status`: networks, guests, addresses, forwards, and what differs from the file."""

from __future__ import annotations

import dataclasses
import json

import typer

from guestnet.faces.cli.options import Format, Options


def status(context: typer.Context) -> int:
    """Show networks, guests with their addresses, forwards, and what differs from the file."""
    from guestnet.act.survey import look
    from guestnet.act.unfinished import unfinished
    from guestnet.decide.status import make_status
    from guestnet.faces import forwards
    from guestnet.faces.cli.online import host, wish
    from guestnet.faces.report import AS_WRITTEN, CUT_OFF
    from guestnet.spec.models import Spec
    from guestnet.spec.show import applied

    options: Options = context.obj
    wanted = wish(options)
    with host(options, "status") as libvirt:
        seen = look(wanted, libvirt)
    found = make_status(seen.plan, seen.live, seen.preferred)
    running = [domain.name for domain in seen.plan.facts.domains if domain.running]
    listed = forwards.of(json.loads(applied(wanted.spec or Spec(), seen.plan.world)), running)
    left = unfinished()
    if options.format is Format.json:
        more = {"forwards": [forwards.data(one) for one in listed], "notices": list(seen.plan.notices)}
        more["unfinished"] = [dataclasses.asdict(one) for one in left]
        typer.echo(json.dumps({**dataclasses.asdict(found), **more}, indent=2))
        return 0
    lines = tuple(map(forwards.line, listed))
    for title, rows in (("networks", found.networks), ("guests", found.guests), ("forwards", lines)):
        _print(title, rows)
    but = f", {CUT_OFF}" if any(one.state == "cut off" for one in left) else ""
    _print("drift", [(line,) for line in found.drift] or [(f"none: {AS_WRITTEN}{but}",)])
    _print("unfinished", [(str(one),) for one in left])
    for note in [note for note in seen.plan.notices if note not in found.drift]:
        typer.echo("note       " + note.replace("\n", f"\n{'':<11}"))
    return 0


def _print(title: str, rows: list[tuple[str, ...]] | tuple[tuple[str, ...], ...]) -> None:
    """Columns lined up; the title in front of the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(f"{title if i == 0 else '':<10} {'  '.join(cells)}".rstrip())
