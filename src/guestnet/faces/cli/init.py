"""`guestnet init`: a first file from what libvirt has; with --hooks-json from the file of another hook, for which it
needs no libvirt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Options, text_only


def init(
    context: typer.Context,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here, if nothing is there yet.")
    ] = None,
    hooks_json: Annotated[
        str | None,
        typer.Option("--hooks-json", metavar="PATH", help="The hooks.json of libvirt-hook-qemu (saschpe or GJCav)."),
    ] = None,
) -> int:
    """Print a first file, made of libvirt's networks and guests, or of the hooks.json of a port forwarding hook."""
    from guestnet.spec.hooksjson.convert import convert
    from guestnet.words.problems import GuestnetError

    text_only(context.obj, "init makes a YAML file")
    if output is not None and os.path.lexists(output):
        raise GuestnetError(f"{output} is there already", "name another file with -o, or move that one away")
    if hooks_json is None:
        return _written(_of_host(context.obj, output), output)
    made = convert(_read(hooks_json), hooks_json)
    for note in made.notes:
        say(str(note))
    if made.notes:
        say(f"{len(made.notes)} not carried over, or not as before; the file says so too")
    return _written(made.text, output)


def _written(text: str, output: str | None) -> int:
    from guestnet.decide.state import File
    from guestnet.host import files

    if output is None:
        typer.echo(text.encode(), nl=False)  # YAML is UTF-8, whatever the terminal has
        return 0
    files.write(output, File(text, 0o644))
    say(f"{output} is written. Read it, then: guestnet -f {output} plan")
    return 0


def _of_host(options: Options, output: str | None) -> str:
    from guestnet.faces.cli.online import host
    from guestnet.spec.firstfile import Plugged, first_file

    with host(options, "init") as libvirt:
        networks = libvirt.xmls()
        guests = {domain.name: [Plugged(nic.network, nic.mac) for nic in domain.nics] for domain in libvirt.domains()}
        leases = [(one.network, one.mac, one.address) for name in networks for one in libvirt.leases(name)]
    return first_file(networks, guests, leases, output or options.file)


def _read(path: str) -> bytes:
    from guestnet.spec.load import read
    from guestnet.words.problems import GuestnetError

    try:
        return read(Path(path))
    except GuestnetError as error:
        raise GuestnetError(error.what, "name the hook's file: it is mostly /etc/libvirt/hooks/hooks.json") from None
