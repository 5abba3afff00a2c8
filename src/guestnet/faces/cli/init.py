"""`guestnet init`: a first file. With --hooks-json from the file of another hook, for which it needs no libvirt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def init(
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here, if nothing is there yet.")
    ] = None,
    hooks_json: Annotated[
        str | None,
        typer.Option("--hooks-json", metavar="PATH", help="The hooks.json of libvirt-hook-qemu (saschpe or GJCav)."),
    ] = None,
) -> int:
    """Print a first file, made from the hooks.json of a port forwarding hook."""
    from guestnet.decide.state import File
    from guestnet.host import files
    from guestnet.spec.hooksjson.convert import convert
    from guestnet.words.problems import GuestnetError

    if hooks_json is None:
        todo = "use --hooks-json PATH, or write one like examples/seed.yaml"
        raise GuestnetError("a first file from libvirt's own networks is not there yet in this version", todo)
    if output is not None and os.path.lexists(output):
        raise GuestnetError(f"{output} is there already", "name another file with -o, or move that one away")
    made = convert(_read(hooks_json), hooks_json)
    for note in made.notes:
        typer.echo(note, err=True)
    if made.notes:
        typer.echo(f"{len(made.notes)} not carried over, or not as before; the file says so too", err=True)
    if output is None:
        typer.echo(made.text.encode(), nl=False)  # YAML is UTF-8, whatever the terminal has
        return 0
    files.write(output, File(made.text, 0o644))
    typer.echo(f"{output} is written. Read it, then: guestnet -f {output} plan", err=True)
    return 0


def _read(path: str) -> bytes:
    from guestnet.spec.load import read
    from guestnet.words.problems import GuestnetError

    try:
        return read(Path(path))
    except GuestnetError as error:
        raise GuestnetError(error.what, "name the hook's file: it is mostly /etc/libvirt/hooks/hooks.json") from None
