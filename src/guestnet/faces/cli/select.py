"""`guestnet select`: which address of a name a guest would use, and by which rule. Needs no root and no libvirt."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Options
from guestnet.words.problems import GuestnetError

if TYPE_CHECKING:
    from guestnet.decide.prefer.record import Record
    from guestnet.decide.select.case import Case, Host
    from guestnet.decide.select.tables import Address

_SHOWN = 20  # odd lines of a gai.conf


class Resolver(StrEnum):
    glibc = "glibc"
    rfc3484 = "rfc3484"
    rfc6724 = "rfc6724"
    update = "rfc6724-update"
    musl = "musl"
    go = "go"


def select(  # noqa: PLR0913, PLR0917  the options of the command line
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[GUEST] NAME|ADDR...", help="Whom it is asked for, and what.")
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--from", metavar="ADDR", help="Instead of GUEST: an address it has; again.")
    ] = None,
    gai_conf: Annotated[
        Path | None, typer.Option("--gai-conf", metavar="FILE", help="Its gai.conf; without: none of its own.")
    ] = None,
    policy: Annotated[
        Resolver | None,
        typer.Option("--policy", help="Whose rules; without: the guest's own, where known, or glibc's."),
    ] = None,
    case: Annotated[
        str | None, typer.Option("--case", metavar="FILE|-", help="A case in JSON, or a list of them (docs/ipv6.md).")
    ] = None,
) -> int:
    """Say in which order a guest's getaddrinfo() returns addresses, and why, before and after the fix."""
    options: Options = context.obj
    if case is not None:
        return _cases(case, policy or Resolver.glibc)
    who, host, names = _asked(options, words or [], sources or [])
    from guestnet.decide.select.case import Case

    dests: list[Address] = []
    for name in names:
        dests += _addresses(name)
    met = _met(who) if not sources else None
    by, own, content = _resolver(met, gai_conf, policy)
    asked = Case(host, tuple(dict.fromkeys(dests)), content, dns=True)
    head = f"{who} ({by}{own and f', {own}'}) asks for {', '.join(names)} and would try"
    if options.format is Format.json:
        typer.echo(json.dumps(_data(asked, by), indent=2))
    else:
        mended = not sources and (met is None or met.libc == "glibc")  # others are refused by prefer-ipv6
        _print(asked, by, head, who if mended else "")
    _odd(content)
    return 0


def _met(guest: str) -> Record | None:
    """What prefer-ipv6 has met in it."""
    from guestnet.host import preferences

    try:
        return preferences.of(guest)
    except GuestnetError:  # root's to read
        return None


def _resolver(met: Record | None, gai_conf: Path | None, policy: Resolver | None) -> tuple[Resolver, str, bytes | None]:
    """Whose rules, the words on what they go by, and its gai.conf."""
    from guestnet.decide.prefer.uses import resolver_of

    known = None if gai_conf else met  # only glibc has such a file
    by = policy or Resolver(resolver_of(known))
    content: bytes | None = None
    if gai_conf is not None:
        own, content = f"gai.conf as {gai_conf}", _read(str(gai_conf))
    elif met and met.done:
        own, content = "gai.conf as guestnet wrote it", met.wrote
    else:
        own = "no gai.conf of its own"
    if by is not Resolver.glibc:
        own = "as prefer-ipv6 met it" if policy is None else ""
    return by, own, content


def _cases(path: str, policy: Resolver) -> int:
    from guestnet.decide.select.case import from_json
    from guestnet.decide.select.order import order

    try:
        text = _read(path).decode()
    except UnicodeDecodeError as error:
        raise GuestnetError(f"{path}: not UTF-8: {error}", "JSON is UTF-8") from error
    asked = from_json(text)
    if isinstance(asked, list):
        typer.echo(json.dumps([list(map(str, order(one, policy))) for one in asked]))
    else:
        typer.echo(json.dumps(list(map(str, order(asked, policy)))))
    return 0


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise GuestnetError(f"{path}: {error.strerror}", "name a file that can be read") from error


def _asked(options: Options, words: list[str], sources: list[str]) -> tuple[str, Host, list[str]]:
    """Who asks, the host it is, and for what."""
    from guestnet.decide.select import guest

    if sources:
        who, host, names = f"a guest with {', '.join(sources)}", guest.host_with(sources), words
    else:
        who, host, names = _guest(options, words)
    if not names:
        raise GuestnetError("there is nothing to resolve", "name a host, or addresses, behind the guest")
    return who, host, names


def _guest(options: Options, words: list[str]) -> tuple[str, Host, list[str]]:
    from guestnet.decide.select import guest
    from guestnet.faces.cli.offline import offline_world
    from guestnet.spec.near import did_you_mean

    if not words:
        raise GuestnetError("nobody is named", "name a guest of the file, or its addresses with --from")
    name, *names = words
    _, world = offline_world(options.file)
    found = next((one for one in world.guests if one.name == name), None)
    if found is None:
        known = [one.name for one in world.guests]
        raise GuestnetError(
            f"there is no guest {name} in {options.file}", f"{did_you_mean(name, known)}, or use --from"
        )
    return name, guest.host_of(world, found), names


def _addresses(name: str) -> list[Address]:
    from ipaddress import ip_address

    from guestnet.host import resolver

    try:
        return [ip_address(name)]
    except ValueError:
        return list(resolver.addresses(name))


def _data(case: Case, policy: Resolver) -> dict[str, Any]:
    """The stable shape: see docs/ipv6.md."""
    from guestnet.decide.select.explain import explain
    from guestnet.decide.select.order import NAMES, order
    from guestnet.decide.select.screen import fixed

    found: dict[str, Any] = {"policy": str(policy), "resolvers": {}}
    for name in NAMES:
        found["resolvers"][name] = list(map(str, order(case, name)))
    if policy is not Resolver.musl:
        found |= explain(case, policy).data()
    after = fixed(case) if policy is Resolver.glibc else None
    if after:
        text = (after.gai_conf or b"").decode()
        found["fix"] = {"gai_conf": text, **explain(after).data()}
    return found


def _print(case: Case, policy: Resolver, head: str, guest: str) -> None:
    from guestnet.decide.select.screen import screen

    typer.echo(f"{head}\n")
    for line in screen(case, policy, guest):
        typer.echo(line)


def _odd(content: bytes | None) -> None:
    """What is not as it seems in the file, on stderr: glibc itself says nothing."""
    from guestnet.decide.select.gaiconf import parse

    odd = parse(content or b"").odd
    for one in odd[:_SHOWN]:
        say(f"gai.conf: {one}")
    if len(odd) > _SHOWN:
        say(f"gai.conf: {len(odd) - _SHOWN} more lines are not as they seem")
