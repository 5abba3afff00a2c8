"""`guestnet apply`: makes the host what the file says."""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet.faces.cli.options import Options

_MOST = 86400  # seconds


def apply(  # noqa: PLR0913, PLR0917  typer's way: an argument each
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    admit: Annotated[
        bool | None,
        typer.Option("--admit/--no-admit", help="Rules on top of other firewalls' chains that drop; or no longer."),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            "--confirm",
            metavar="SECONDS",
            min=1,
            max=_MOST,
            help="Undo it after so many seconds, unless `guestnet confirm` comes.",
        ),
    ] = None,
    never: Annotated[
        bool, typer.Option("--no-confirm", help="Not so, though the SSH session you are in is at stake.")
    ] = False,
    checksum: Annotated[
        str | None, typer.Option("--checksum", metavar="PLAN", help="Only if the plan is still this one.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Also what only a restart changes on networks that were taken over.")
    ] = False,
) -> int:
    """Make the host what the file says; on any failure everything is taken back."""
    from dataclasses import replace

    from guestnet.act.survey import Wish
    from guestnet.decide.adopted import Hands
    from guestnet.faces.cli.change import Care, change
    from guestnet.faces.cli.online import wish

    if confirm is not None and never:
        raise typer.BadParameter("--confirm and --no-confirm: one of them")
    options: Options = context.obj
    care = Care(confirm, never, checksum)

    def wanted() -> Wish:
        return replace(wish(options), admit=admit, hands=Hands(restart=restart))

    return change(options, wanted, yes, verb="apply", question="Apply this?", care=care)
