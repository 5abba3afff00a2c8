"""Which tracked connections would keep a decision alive that is taken back, when forwards go or come. Pure.

The kernel asks the maps for the first packet of a connection only. So, after a change of the maps:

- a connection that one of ours translated goes on to a guest that nothing leads to any more;
- a UDP client that kept sending before its forward came never reaches the guest: its packets belong to a connection
  that was tracked without a translation (TCP tries again with new ones);
- a connection to a guest's own address, which a forward had opened there, goes on through a door that is closed.

Those are named here, and no others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from guestnet.compile import wire
from guestnet.compile.nft import Elements

_NUMBERS = {"tcp": 6, "udp": 17}
_UDP = 17
_TRANSLATING = ("on", "nic", "any", "whole", "loop4")
_OPENING = ("open",)


class Flow(NamedTuple):
    """A tracked connection, as its first packet had it; addresses packed. `target` is where the answers come from."""

    family: int
    protocol: int
    source: bytes
    address: bytes
    port: int
    target: bytes
    target_port: int
    ours: bool  # it has our mark
    translated: bool  # its destination is, by whomever
    handle: bytes = b""  # what `host.conntrack` knows it by


class _Rule(NamedTuple):
    """An element, as one asks it. `listen`: an address, the name of a NIC, or None; `to` 0: the port is kept."""

    listen: bytes | str | None
    source: IPv4Network | IPv6Network | None
    first: int
    target: bytes
    to: int

    def leads(self, flow: Flow) -> bool:
        port = flow.port + self.to - self.first if self.to else flow.port
        return self.target == flow.target and (port == flow.target_port or not self.first)


class _Rules:
    """Elements by family and protocol, and there by port; ranges and whole addresses apart."""

    def __init__(self, elements: Elements, kinds: tuple[str, ...] = _TRANSLATING) -> None:
        self._ports: dict[tuple[int, int, int], list[_Rule]] = defaultdict(list)
        self._ranges: dict[tuple[int, int], list[tuple[int, int, _Rule]]] = defaultdict(list)
        for name, items in elements.items():
            if name.startswith(kinds):
                for item in items:
                    self._add(name, item)

    def fitting(self, flow: Flow, nics: Mapping[bytes, str]) -> Iterator[_Rule]:
        """Those that its first packet may have met. `nics`: the host's own addresses, each with its NIC."""
        rules = [*self._ports.get((flow.family, flow.protocol, flow.port), ())]
        for key in ((flow.family, flow.protocol), (flow.family, 0)):
            rules += [rule for first, last, rule in self._ranges.get(key, ()) if first <= flow.port <= last]
        for rule in rules:
            here = rule.listen is None or rule.listen in (flow.address, nics.get(flow.address))
            if here and (rule.source is None or ip_address(flow.source) in rule.source):
                yield rule

    def _add(self, name: str, item: str) -> None:
        family = int(name[-1])
        key, _, data = item.partition(" : ")
        address, _, to = data.partition(" . ")
        if name.startswith("whole"):
            rule = _Rule(wire.address(key), None, 0, wire.address(address), 0)
            self._ranges[family, 0].append((0, 65535, rule))
            return
        *where, protocol, span = key.split(" . ")
        source = ip_network(where.pop(0)) if "_from" in name else None
        listen: bytes | str | None = None
        if where:
            listen = where[0].strip('"') if where[0].startswith('"') else wire.address(where[0])
        first, dash, last = span.partition("-")
        target = b"" if address == "accept" else wire.address(address)
        rule = _Rule(listen, source, int(first), target, int(to or 0))
        if dash:
            self._ranges[family, _NUMBERS[protocol]].append((int(first), int(last), rule))
        else:
            self._ports[family, _NUMBERS[protocol], int(first)].append(rule)


class Wanted(NamedTuple):
    """Of which families connections need looking at: those that we translated, and those without."""

    ours: frozenset[int]
    plain: frozenset[int]


def changed(before: Elements, after: Elements) -> tuple[Elements, Elements]:
    """What goes, and what comes."""
    return _without(before, after), _without(after, before)


def wanted(gone: Elements, new: Elements) -> Wanted:
    ours = {int(name[-1]) for name in gone if name.startswith(_TRANSLATING)}
    plain = {
        int(name[-1])
        for name, items in new.items()
        if name.startswith(_TRANSLATING) and (name.startswith("whole") or any("udp . " in item for item in items))
    }
    closed = {int(name[-1]) for name in gone if name.startswith(_OPENING)}
    return Wanted(frozenset(ours), frozenset(plain | closed))


def stale(
    flows: Iterable[Flow], gone: Elements, new: Elements, after: Elements, nics: Mapping[bytes, str]
) -> Iterator[Flow]:
    """`nics`: the host's own addresses, each with its NIC."""
    went, come, stays = _Rules(gone), _Rules(new), None
    closed, opened = _Rules(gone, _OPENING), _Rules(after, _OPENING)
    for flow in flows:
        if flow.ours and flow.translated:
            if any(rule.leads(flow) for rule in went.fitting(flow, nics)):
                stays = stays or _Rules(after)
                if not any(rule.leads(flow) for rule in stays.fitting(flow, nics)):
                    yield flow
        elif flow.ours or flow.translated:
            continue
        elif flow.address in nics:
            if flow.protocol == _UDP and any(come.fitting(flow, nics)):
                yield flow
        elif flow.source not in nics and any(closed.fitting(flow, nics)) and not any(opened.fitting(flow, nics)):
            yield flow  # who is on the host needs no door


def _without(some: Elements, others: Elements) -> Elements:
    left = {name: set(items) - set(others.get(name, ())) for name, items in some.items()}
    return {name: tuple(sorted(items)) for name, items in left.items() if items}
