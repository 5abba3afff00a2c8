"""`guestnet why`: where a packet goes, and which rule or hop stops it."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from guestnet.faces.cli.options import Format, Options
from guestnet.words.problems import GuestnetError

_ASKED = re.compile(r"(\d{1,5})(?:/(tcp|udp))?")


def why(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="internet, host, a network, a guest or an address")],
    target: Annotated[str, typer.Argument(metavar="DST", help="as SRC")],
    port: Annotated[str, typer.Argument(metavar="[PORT[/PROTO]]", help="such as 22 or 53/udp; without: a ping")] = "",
    address: Annotated[
        list[str] | None, typer.Option("--target", help="An address in the internet, instead of the gateway.")
    ] = None,
) -> int:
    """Follow a real packet from SRC to DST, and say what stopped it. Exit code 1 when it did not get through."""
    from guestnet.act.why import Question
    from guestnet.act.why import why as follow
    from guestnet.faces.cli.measured import place

    options: Options = context.obj
    protocol, number = _port(port)
    host, drift = place(options, "why", address or [])
    found = follow(host, Question(source, target, protocol, number), drift)
    if not found:
        raise GuestnetError(
            f"{source} and {target} have no family in common, or no address is known", "see guestnet show"
        )
    if options.format is Format.json:
        shown = [
            {
                "family": f"ipv{one.family}", "from": one.asked_from, "to": one.asked, "reached": one.why.reached,
                "way": list(one.why.lines), "cause": one.why.cause, "todo": one.why.todo,
            }
            for one in found
        ]  # fmt: skip
        typer.echo(json.dumps(shown, indent=2))
    for one in found if options.format is not Format.json else ():
        typer.echo(f"{one.asked_from} -> {one.asked}{f' {protocol} {number}' if number else ' ping'}")
        for line in one.why.lines:
            typer.echo(f"  {line}")
        typer.echo(f"  {'it gets through' if one.why.reached else 'it does not get through'}: {one.why.cause}")
        if one.why.todo:
            typer.echo(f"  what to do: {one.why.todo}")
    return 0 if all(one.why.reached for one in found) else 1


def _port(text: str) -> tuple[str, int]:
    if not text:
        return "icmp", 0
    match = _ASKED.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= 65535:  # noqa: PLR2004
        raise GuestnetError(
            f"{text} is not a port", "write one such as 22, 22/tcp or 53/udp, or leave it out for a ping"
        )
    return match[2] or "tcp", int(match[1])
