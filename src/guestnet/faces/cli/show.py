"""`guestnet show`: the file as understood, defaults and remembered values filled in; valid input again."""

from __future__ import annotations

import typer

from guestnet.faces.cli.options import Options, text_only


def show(context: typer.Context) -> int:
    """Print the file as understood, with every default filled in."""
    from guestnet.faces.cli.offline import offline_world
    from guestnet.spec.show import show as shown

    options: Options = context.obj
    text_only(options, "show prints YAML, valid input again")
    typer.echo(shown(*offline_world(options.file)), nl=False)
    return 0
