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


def forward_lines(elements: Iterable[tuple[str, str]]) -> list[str]:
    """One line a forward, from (map, element) pairs; families put together, neighbouring ports made ranges again."""
    families: dict[tuple[str, str, str, int, int], set[int]] = defaultdict(set)
    for name, item in elements:
        key, _, value = item.partition(" : ")
        *where, protocol, port = key.split(" . ")
        source = where.pop(0) if "_from" in name else ""
        to = value.split(" . ")[1]
        families["".join(where).strip('"'), source, protocol, int(port), int(to)].add(int(name[-1]))
    ports: dict[_Kind, list[int]] = defaultdict(list)
    for (listen, source, protocol, host, guest), numbers in families.items():
        ports[_Kind(listen, source, protocol, guest - host, tuple(sorted(numbers)))].append(host)
    found = [(first, last, kind) for kind, listed in ports.items() for first, last in _ranges(listed)]
    return [_line(first, last, kind) for first, last, kind in sorted(found)]


def _ranges(ports: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for port in sorted(ports):
        if found and found[-1][1] == port - 1:
            found[-1] = (found[-1][0], port)
        else:
            found.append((port, port))
    return found


def _line(first: int, last: int, kind: _Kind) -> str:
    address = f"[{kind.listen}]:" if ":" in kind.listen else f"{kind.listen}:" if kind.listen else ""
    numbers = ", ".join(_FAMILY[number] for number in kind.families)
    to = _span(first + kind.shift, last + kind.shift)
    source = f" from {kind.source}" if kind.source else ""
    return f"{address}{_span(first, last)}/{kind.protocol}{source} -> {to} ({numbers})"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
