"""`guestnet apply`: makes the host what the file says."""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet.faces.cli.options import Options


def apply(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    admit: Annotated[
        bool | None,
        typer.Option("--admit/--no-admit", help="Rules on top of other firewalls' chains that drop; or no longer."),
    ] = None,
) -> int:
    """Make the host what the file says; on any failure everything is taken back."""
    from dataclasses import replace

    from guestnet.faces.cli.change import change
    from guestnet.faces.cli.online import wish

    options: Options = context.obj
    return change(options, replace(wish(options), admit=admit), yes, verb="apply", question="Apply this?")
