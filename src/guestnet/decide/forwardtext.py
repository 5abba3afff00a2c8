"""Map elements as a person wrote them: `4023/tcp -> 22 (IPv4, IPv6)`. The way back from what `ruleset` expanded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

_FAMILY = {4: "IPv4", 6: "IPv6"}


class _Kind(NamedTuple):
    """What forwards have in common that can be shown as one range."""

    listen: str  # "" for any address
    source: str  # "" for everybody
    protocol: str
    shift: int  # from the host's port to the guest's
    families: tuple[int, ...]
    opens: bool = False  # no forward: the guest's own address is open there
    guest: str = ""  # its address, where that is shown


class _Ports(NamedTuple):
    first: int
    last: int
    to: int


def forward_lines(elements: Iterable[tuple[str, str]], *, addresses: bool = False) -> list[str]:
    """One line a forward, from (map, element) pairs; families put together, neighbouring ports made ranges again.

    `addresses`: with the guest's, `4023/tcp -> 10.0.0.10:22`, and so a line a family.
    """
    families: dict[tuple[str, str, str, bool, _Ports, str], set[int]] = defaultdict(set)
    whole: list[tuple[str, str]] = []
    for name, item in elements:
        if name.startswith(("whole", "source")):
            whole.append((name, item))
        else:
            guest = _guest(name, item) if addresses else ""
            families[*_parts(name, item), guest].add(int(name[-1]))
    ports: dict[_Kind, list[_Ports]] = defaultdict(list)
    for (listen, source, protocol, opens, its, guest), numbers in families.items():
        kind = _Kind(listen, source, protocol, its.to - its.first, tuple(sorted(numbers)), opens, guest)
        ports[kind].append(its)
    found = [(first, last, kind) for kind, listed in ports.items() for first, last in _ranges(listed)]
    return [*_whole(whole, addresses=addresses), *(_line(first, last, kind) for first, last, kind in sorted(found))]


def _whole(elements: list[tuple[str, str]], *, addresses: bool) -> list[str]:
    """Whole addresses: to the guest, and back, where the host has them."""
    inwards = {item.partition(" : ")[0]: name for name, item in elements if name.startswith("whole")}
    back = {item.partition(" : ")[2]: name for name, item in elements if name.startswith("source")}
    guests = {item.partition(" : ")[0]: item.partition(" : ")[2] for name, item in elements if name.startswith("whole")}
    lines = []
    for address, name in sorted((inwards | back).items()):
        guest = f", {guests[address]}" if addresses and address in guests else ""
        way = (
            f"{address} -> the whole guest{guest}"
            if address in inwards
            else f"what the guest opens goes out as {address}"
        )
        both = ", and back" if address in inwards and address in back else ""
        lines.append(f"{way}{both} ({_FAMILY[int(name[-1])]})")
    return lines


def _parts(name: str, item: str) -> tuple[str, str, str, bool, _Ports]:
    """Listener, source, protocol, whether it only opens the guest's own address, ports."""
    key, _, value = item.partition(" : ")
    *where, protocol, span = key.split(" . ")
    source = where.pop(0) if "_from" in name else ""
    first, _, last = span.partition("-")
    opens = name.startswith("open")
    listen = "127.0.0.1" if name == "loop4" else "" if opens else "".join(where).strip('"')
    to = value.partition(" . ")[2] or first
    return listen, source, protocol, opens, _Ports(int(first), int(last or first), int(to))


def _guest(name: str, item: str) -> str:
    """The guest's address in an element."""
    key, _, value = item.partition(" : ")
    if name.startswith("open"):
        return key.split(" . ")[1 if "_from" in name else 0]
    return value.split(" . ")[0]


def _ranges(ports: list[_Ports]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for port in sorted(ports):
        if found and found[-1][1] == port.first - 1:
            found[-1] = (found[-1][0], port.last)
        else:
            found.append((port.first, port.last))
    return found


def _line(first: int, last: int, kind: _Kind) -> str:
    numbers = ", ".join(_FAMILY[number] for number in kind.families)
    address = f"[{kind.listen}]:" if ":" in kind.listen else f"{kind.listen}:" if kind.listen else ""
    source = f" from {kind.source}" if kind.source else ""
    if kind.opens:
        own = f"own address{kind.guest and f', {kind.guest}'}"
        return f"{_span(first, last)}/{kind.protocol}{source} open at the guest's {own} ({numbers})"
    guest = f"[{kind.guest}]:" if ":" in kind.guest else kind.guest and f"{kind.guest}:"
    to = f"{guest}{_span(first + kind.shift, last + kind.shift)}"
    return f"{address}{_span(first, last)}/{kind.protocol}{source} -> {to} ({numbers})"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
