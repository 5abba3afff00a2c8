"""`guestnet prefer-ipv6`: a guest's programs try IPv6 first, by lines of ours in its /etc/gai.conf."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Options, text_only
from guestnet.words.problems import AsideError, GuestnetError

if TYPE_CHECKING:
    from guestnet.act.prefer import Address, Preferred
    from guestnet.spec.world import Guest, World

# Of both families for decades, and nobody's advertisement
NAME = "a.root-servers.net"


class Way(StrEnum):
    cloud_init = "cloud-init"
    shell = "shell"
    file = "file"


def prefer_ipv6(
    context: typer.Context,
    guest: Annotated[str, typer.Argument(metavar="GUEST", help="A guest of the file.")],
    undo: Annotated[bool, typer.Option("--undo", help="Put its gai.conf back as it was.")] = False,
    printed: Annotated[
        Way | None, typer.Option("--print", help="Only print what to do by hand, for a guest without an agent.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="A host that has both families, to see the difference with.")
    ] = NAME,
) -> int:
    """Make a guest try IPv6 first where a host has both: its gai.conf, by its agent; shows what changed by it."""
    from guestnet.host.guestgai import name_of

    options: Options = context.obj
    asked = name_of(name)
    if printed is not None:
        text_only(options, "--print prints what to do by hand")
        if undo:
            raise GuestnetError("--undo and --print do not go together", "leave one out")
        return _printed(options, guest, printed, asked)
    return _undo(options, guest) if undo else _prefer(options, guest, asked)


def _printed(options: Options, name: str, way: Way, asked: str) -> int:
    from guestnet.decide.prefer import printed
    from guestnet.decide.prefer.wanted import means
    from guestnet.faces.cli.offline import offline_world

    _, world = offline_world(options.file)
    guest = _guest(world, name, options.file)
    found = means(world, guest, None)
    if not found.prefixes:
        raise GuestnetError(f"guest {name}: {found.why}", found.todo)
    if way is Way.shell:
        typer.echo(printed.shell(name, found.prefixes, asked), nl=False)
    else:
        typer.echo({Way.file: printed.file, Way.cloud_init: printed.cloud_init}[way](found.prefixes), nl=False)
    return 0


def _guest(world: World, name: str, file: str) -> Guest:
    from guestnet.spec.near import did_you_mean

    found = next((one for one in world.guests if one.name == name), None)
    if found is None:
        raise GuestnetError(
            f"there is no guest {name} in {file}", did_you_mean(name, [one.name for one in world.guests])
        )
    return found


def _prefer(options: Options, name: str, asked: str) -> int:
    from guestnet.act.prefer import prefer
    from guestnet.act.survey import look
    from guestnet.faces.cli.change import changing
    from guestnet.faces.cli.online import wish

    wish(options)  # what is wrong in the file is said first
    with changing(options, "prefer-ipv6") as held:
        seen = look(wish(options), held.libvirt)
        guest = _guest(seen.plan.world, name, options.file)
        found = prefer(held.libvirt, seen, guest, asked, say)
    if found.windows:
        return _windows(options, name, asked, found)
    if found.was != found.now:
        options.document.done.append(f"gai.conf of {name} written")
    if options.format is Format.json:
        options.document.data = _data(name, asked, found)
    else:
        _print(seen.plan.world, guest, asked, found)
    for one in found.odd:
        say(f"gai.conf: {one}")
    return 0


def _windows(options: Options, name: str, asked: str, found: Preferred) -> int:
    from ipaddress import IPv6Network

    from guestnet.decide.prefer.printed import netsh

    what = f"guest {name} runs {found.version}, which has no gai.conf; nothing was changed"
    say(f"{what}. As administrator in it:")
    commands = netsh([IPv6Network(prefix) for prefix in found.prefixes])
    if options.format is Format.json:
        options.document.left.append(AsideError(what, "as administrator in it: commands"))
        options.document.data = {**_data(name, asked, found), "commands": commands.splitlines()}
    else:
        typer.echo(commands, nl=False)
    return 1


def _data(name: str, asked: str, found: Preferred) -> dict[str, object]:
    """The stable shape: see docs/ipv6.md."""
    return {
        "guest": name,
        "libc": found.version,
        "name": asked,
        "prefixes": list(found.prefixes),
        "changed": found.was != found.now,
        "before": list(map(str, found.before)),
        "after": list(map(str, found.after)),
    }


def _print(world: World, guest: Guest, asked: str, found: Preferred) -> None:
    typer.echo(f"{guest.name} ({found.version}) asks for {asked} and gets, before")
    _order(world, guest, found.before, found.was)
    if found.was == found.now:
        typer.echo("\nIts /etc/gai.conf has guestnet's lines already; nothing was changed.")
        return
    rows = ", ".join(f"label {prefix} 1" for prefix in found.prefixes)
    typer.echo(f"\nIts /etc/gai.conf is written ({rows}, and what that needs beside it). A new process in it gets")
    _order(world, guest, found.after, found.now)
    typer.echo("\nPrograms that run already follow when they are started anew; those that do not use glibc's resolver")
    typer.echo(f"(Go, musl, c-ares) do not. Back: guestnet prefer-ipv6 {guest.name} --undo")


def _order(world: World, guest: Guest, got: tuple[Address, ...], gai_conf: bytes | None) -> None:
    """What it got; with the reasons, where it is what glibc is predicted to do."""
    from guestnet.decide.select.case import Case
    from guestnet.decide.select.explain import explain
    from guestnet.decide.select.guest import host_of
    from guestnet.decide.select.table import reasons, table

    expected = explain(Case(host_of(world, guest), got, gai_conf, dns=True))
    typer.echo("")
    if tuple(row.seen.address for row in expected.rows) == got:
        told = reasons(expected)
        for line in (*table(expected), *(["", *told] if told else [])):
            typer.echo(line)
    else:
        for i, address in enumerate(got, 1):
            typer.echo(f" {i}  {address}")
        typer.echo("Predicted was another order; its addresses or routes are not those of the file.")


def _undo(options: Options, name: str) -> int:
    from guestnet.act.prefer import undo
    from guestnet.faces.cli.change import changing

    with changing(options, "prefer-ipv6") as held:
        changed = undo(held.libvirt, held.libvirt.domains(), name)
    what = "is as it was before" if changed else "has nothing of guestnet's"
    if changed:
        options.document.done.append(f"gai.conf of {name} as before")
    if options.format is Format.json:
        options.document.data = {"guest": name, "changed": changed}
    else:
        typer.echo(f"/etc/gai.conf of {name} {what}")
    if _still_wanted(options, name):
        say(f"{options.file} says prefer_ipv6: true for {name}: take that out, or the next apply writes it again")
    return 0


def _still_wanted(options: Options, name: str) -> bool:
    from pathlib import Path

    from guestnet.spec import load

    try:
        guest = load.read_spec(Path(options.file)).guests.get(name)
    except GuestnetError:
        return False
    return guest is not None and guest.prefer_ipv6
