"""`guestnet plan`: what would change, changing nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Options

PENDING = 2


def plan(
    context: typer.Context,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when changes are pending, 0 when not.")
    ] = False,
) -> int:
    """Show what apply would change, step by step, and whom it would disturb."""
    from guestnet.act.survey import survey
    from guestnet.act.unfinished import unfinished
    from guestnet.faces.cli.online import host, wish
    from guestnet.faces.report import plan_data, print_plan

    options: Options = context.obj
    wanted = wish(options)
    with host(options, "plan") as libvirt:
        made, _ = survey(wanted, libvirt)
    if options.format is Format.json:
        options.document.data = plan_data(made)
    else:
        print_plan(made, pending=True)
    for one in unfinished():
        say(str(one))
    if made.problems:
        return 1
    return PENDING if detailed and made.changes else 0
