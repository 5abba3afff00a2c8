"""`guestnet check`: is the file right? Needs no root and no libvirt, and depends on the file alone."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from guestnet.faces.cli.options import Format, Options


def check(context: typer.Context) -> int:
    """Say whether the file is right; every problem at once, with its place."""
    from guestnet.spec.load import read_spec
    from guestnet.words.problems import ProblemsError

    options: Options = context.obj
    try:
        spec = read_spec(Path(options.file))
    except ProblemsError as error:
        if options.format is Format.json:
            typer.echo(json.dumps({"problems": [problem.data() for problem in error.problems]}, indent=2))
        raise
    if options.format is Format.json:
        typer.echo(json.dumps({"problems": []}, indent=2))
        return 0
    networks, guests = len(spec.networks), len(spec.guests)
    forwards = sum(len(guest.forwards) for guest in spec.guests.values())
    counts = ((networks, "network"), (guests, "guest"), (forwards, "forward"))
    typer.echo(f"{options.file} is right: " + ", ".join(f"{n} {word}{'s' if n != 1 else ''}" for n, word in counts))
    return 0
