"""`guestnet check`: is the file right? Needs no root and no libvirt, and depends on the file alone."""

from __future__ import annotations

from pathlib import Path

import typer

from guestnet.faces.cli.options import Format, Options


def check(context: typer.Context) -> int:
    """Say whether the file is right; every problem at once, with its place."""
    from guestnet.spec.load import read_spec

    options: Options = context.obj
    spec = read_spec(Path(options.file))
    if options.format is Format.json:
        options.document.data = {"problems": []}
        return 0
    networks, guests = len(spec.networks), len(spec.guests)
    forwards = sum(len(guest.forwards) for guest in spec.guests.values())
    counts = ((networks, "network"), (guests, "guest"), (forwards, "forward"))
    typer.echo(f"{options.file} is right: " + ", ".join(f"{n} {word}{'s' if n != 1 else ''}" for n, word in counts))
    return 0
