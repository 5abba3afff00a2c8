"""`guestnet select`: which address of a name a guest would use, and by which rule. Needs no root and no libvirt."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from guestnet.faces.cli.options import Options
from guestnet.words.problems import GuestnetError


def select(
    context: typer.Context,
    case: Annotated[
        str | None, typer.Option("--case", metavar="FILE|-", help="A case in JSON, or a list of them (docs/ipv6.md).")
    ] = None,
) -> int:
    """Say in which order a guest's getaddrinfo() returns addresses, and why."""
    _options: Options = context.obj
    if case is None:
        raise GuestnetError("there is nothing to ask", "see guestnet select --help")
    return _cases(case)


def _cases(path: str) -> int:
    from guestnet.decide.select.case import from_json
    from guestnet.decide.select.order import by_glibc

    asked = from_json(_read(path))
    if isinstance(asked, list):
        typer.echo(json.dumps([list(map(str, by_glibc(one))) for one in asked]))
    else:
        typer.echo(json.dumps(list(map(str, by_glibc(asked)))))
    return 0


def _read(path: str) -> str:
    import sys
    from pathlib import Path

    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise GuestnetError(f"{path}: {error.strerror}", "name a file, or - for standard input") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise GuestnetError(f"{path}: not UTF-8: {error}", "JSON is UTF-8") from error
