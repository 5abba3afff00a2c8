"""`guestnet plan`: what would change, changing nothing."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Options

PENDING = 2


def plan(
    context: typer.Context,
    detailed: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit with 2 when changes are pending, or an apply was cut off."),
    ] = False,
) -> int:
    """Show what apply would change, step by step, and whom it would disturb."""
    from guestnet.act.survey import survey
    from guestnet.act.unfinished import unfinished
    from guestnet.faces.cli.online import host, wish
    from guestnet.faces.report import AS_WRITTEN, CUT_OFF, plan_data, print_plan

    options: Options = context.obj
    wanted = wish(options)
    with host(options, "plan") as libvirt:
        made, _ = survey(wanted, libvirt)
    left = unfinished()
    cut_off = any(one.state == "cut off" for one in left)
    if options.format is Format.json:
        options.document.data = {**plan_data(made), "unfinished": [dataclasses.asdict(one) for one in left]}
    elif cut_off:
        nothing = f"{AS_WRITTEN.capitalize()}, {CUT_OFF}, and the next one puts that right first."
        print_plan(made, pending=True, nothing=nothing)
    else:
        print_plan(made, pending=True)
    for one in left:
        say(str(one))
    if made.problems:
        return 1
    return PENDING if detailed and (made.changes or cut_off) else 0
