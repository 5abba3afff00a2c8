"""`guestnet why`: where a packet goes, and which rule or hop stops it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Options
from guestnet.words.ports import LAST_PORT
from guestnet.words.problems import GuestnetError

if TYPE_CHECKING:
    from guestnet.act.why import Answer
    from guestnet.decide.trace import Step

_ASKED = re.compile(r"(\d{1,5})(?:/(tcp|udp))?")


def why(  # noqa: PLR0913, PLR0917  typer's
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="internet, host, a network, a guest or an address")],
    target: Annotated[str, typer.Argument(metavar="DST", help="as SRC")],
    port: Annotated[str, typer.Argument(metavar="[PORT[/PROTO]]", help="such as 22 or 53/udp; without: a ping")] = "",
    address: Annotated[
        list[str] | None, typer.Option("--target", help="An address in the internet, instead of the gateway.")
    ] = None,
    lan: Annotated[
        bool, typer.Option("--lan", help="From or to bridge and macvtap too: two more MACs on the LAN for a while.")
    ] = False,
) -> int:
    """Follow a real packet from SRC to DST, and say what stopped it. Exit code 1 when it did not get through."""
    from guestnet.act.asks import Question
    from guestnet.act.why import why as follow
    from guestnet.faces.cli.measured import place

    options: Options = context.obj
    protocol, number = _port(port)
    host, drift = place(options, "why", address or [])
    found, skipped = follow(host, Question(source, target, protocol, number), drift, say, lan=lan)
    if not found:
        raise GuestnetError("; ".join(skipped), "see guestnet status")
    if options.format is Format.json:
        typer.echo(json.dumps([_data(one) for one in found], indent=2))
    else:
        for i, one in enumerate(found):
            typer.echo("" if i else None, nl=bool(i))
            _print(one, protocol)
    for line in skipped:
        say(line)
    return 0 if all(one.why.reached for one in found) else 1


def _data(one: Answer) -> dict[str, Any]:
    """The stable shape: see docs/reach.md."""
    return {
        "family": f"ipv{one.family}",
        "from": one.asked_from,
        "to": one.asked,
        "note": one.note,
        "reached": one.why.reached,
        "way": [str(hop) for hop in one.why.hops],
        "cause": one.why.cause,
        "rule": _rule(one.why.rule),
        "todo": one.why.todo,
    }


def _rule(step: Step | None) -> dict[str, str] | None:
    from guestnet.decide.trace import owner

    if step is None:
        return None
    return {"owner": owner(step), "table": step.table, "chain": step.chain, "text": step.text}


def _print(one: Answer, protocol: str) -> None:
    what = f"{protocol} {one.port}" if protocol != "icmp" else "ping"
    typer.echo(f"{one.asked_from} -> {one.asked} {what}{f'   ({one.note})' if one.note else ''}")
    for line in one.why.lines:
        typer.echo(f"  {line}")
    if one.why.reached:
        typer.echo(f"it gets through: {one.why.cause}")
    else:
        typer.echo(f"it does not get through: {one.why.cause}")
    if one.why.todo:
        typer.echo(f"what to do: {one.why.todo}")


def _port(text: str) -> tuple[str, int]:
    if text in ("", "icmp", "ping"):
        return "icmp", 0
    match = _ASKED.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= LAST_PORT:
        raise GuestnetError(
            f"{text} is not a port", "write one such as 22, 22/tcp or 53/udp, or leave it out for a ping"
        )
    return match[2] or "tcp", int(match[1])
