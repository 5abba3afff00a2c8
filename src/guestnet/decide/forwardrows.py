"""The forwards as they were applied, one by one, and the elements that each of them is.

Pure, standard library only: at 10,000 forwards the imports of models and YAML would cost more than all of their list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from itertools import product
from typing import Any, NamedTuple

from guestnet.compile import wire
from guestnet.compile.ruleset import LARGE
from guestnet.words.families import IPV4, IPV6

_SHORT = re.compile(r"(\d+)(?:-(\d+))?(?::(\d+)(?:-\d+)?)?(?:/(tcp|udp|tcp\+udp))?", re.ASCII)
_EVERYBODY = ("0.0.0.0/0", "::/0")


class Row(NamedTuple):
    """A forward. `listen` and `sources` are empty for any and for everybody. Whole addresses have protocol all."""

    guest: str
    listen: tuple[str, ...]
    first: int
    last: int
    to: int
    protocol: str
    sources: tuple[str, ...]
    loopback: bool
    targets: tuple[tuple[int, str], ...]  # (family, the guest's address), of the families that it serves


def rows(applied: Mapping[str, Any]) -> list[Row]:
    """Of what `spec.show.applied` wrote, in its order: by guest, then as in the file."""
    found = []
    for name, guest in applied.get("guests", {}).items():
        nics = guest.get("nics") or [guest]
        for forward in guest.get("forwards", ()):
            found.append(_row(name, nics, forward))
    return found


def _row(guest: str, nics: list[dict[str, str]], forward: Any) -> Row:
    """Of the short form or the long one."""
    long: Mapping[str, Any] = forward if isinstance(forward, dict) else {}
    listen, protocol, first, last, to = _long(long) if long else _short(str(forward))
    nic = next((nic for nic in nics if long.get("network") in (None, nic["network"])), {})
    sources = tuple(long.get("from", ()))
    targets = tuple(_targets(nic, listen, long.get("family", "both"), sources))
    return Row(guest, listen, first, last, to, protocol, sources, bool(long.get("loopback")), targets)


Said = tuple[tuple[str, ...], str, int, int, int]  # listeners, protocol, host's ports, the guest's first


def _short(text: str) -> Said:
    match = _SHORT.fullmatch(text)
    if match:
        first, last, to, protocol = match.groups()
        return (), protocol or "tcp", int(first), int(last or first), int(to or first)
    from guestnet.spec.forwards import parse  # noqa: PLC0415  those on any, most of them, do without

    short = parse(text)
    listen = () if short.listen is None else (str(short.listen),)
    return listen, short.protocol, short.ports.first, short.ports.last, short.to.first


def _long(long: Mapping[str, Any]) -> Said:
    said = long.get("listen", "any")
    listen = tuple(one for one in ([said] if isinstance(said, str) else said) if one != "any")
    first, _, last = str(long.get("ports", 1)).partition("-")
    to = str(long.get("to", first)).partition("-")[0]
    return listen, long.get("protocol", "tcp"), int(first), int(last or first), int(to)


def _targets(
    nic: Mapping[str, str], listen: tuple[str, ...], family: str, sources: tuple[str, ...]
) -> Iterator[tuple[int, str]]:
    """The families that it serves, as `spec.resolve` has it."""
    for number, key in ((4, "ipv4"), (6, "ipv6")):
        wanted = any(_listens(one, number, family) for one in listen or ("",))
        if nic.get(key) and wanted and (not sources or _of(number, sources)):
            yield number, nic[key]


def _listens(listen: str, number: int, family: str) -> bool:
    if is_address(listen):
        return bool(_of(number, [listen]))
    return family in ("both", f"ipv{number}")


def is_address(listen: str) -> bool:
    """Not any, nor the name of a NIC, which begins with a letter."""
    return ":" in listen or listen[:1].isdigit()


def _of(number: int, addresses: Iterable[str]) -> list[str]:
    return [one for one in addresses if (":" in one) == (number == IPV6)]


def _protocols(row: Row) -> list[str]:
    return row.protocol.split("+")


def elements(row: Row) -> Iterator[tuple[str, bytes, bytes]]:
    """(map, key, data) of each element that the forward is, as `compile.ruleset.elements` has them as text."""
    for family, address in row.targets:
        target = wire.address(address)
        for kind, listen in _listeners(row, family):
            if row.protocol == "all":
                yield f"whole{family}", listen, target
                continue
            for source, protocol in product(_of(family, row.sources) or [""], _protocols(row)):
                low, high = _span(source)
                name = f"{kind}{'_from' if low else ''}"
                head = listen + wire.PROTOCOLS[protocol]
                if row.first == row.to and row.last - row.first + 1 >= LARGE:
                    key = low + head + wire.port(row.first) + high + head + wire.port(row.last)
                    yield f"{name}_range{family}", key, target
                    continue
                for port in range(row.first, row.last + 1):
                    last = head + wire.port(port)
                    data = target + wire.port(row.to + port - row.first)
                    yield f"{name}{family}", low + last + (high + last if low else b""), data
        if row.loopback and family == IPV4:
            for protocol, port in product(_protocols(row), range(row.first, row.last + 1)):
                data = target + wire.port(row.to + port - row.first)
                yield "loop4", wire.PROTOCOLS[protocol] + wire.port(port), data


def _listeners(row: Row, family: int) -> Iterator[tuple[str, bytes]]:
    """The kind of map and the part of its key."""
    for listen in row.listen:
        if is_address(listen):
            if _of(family, [listen]):
                yield "on", wire.address(listen)
        else:
            yield "nic", wire.link(listen)
    if not row.listen:
        yield "any", b""


def _span(source: str) -> tuple[bytes, bytes]:
    """First and last address of a network; nothing for everybody."""
    if not source or source in _EVERYBODY:
        return b"", b""
    network = ip_network(source)
    return network.network_address.packed, network.broadcast_address.packed
