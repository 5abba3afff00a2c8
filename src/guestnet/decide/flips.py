"""Which cells of the matrix a change of the file flips: the prediction for the file as it was applied last, beside the
one for the file as it is now, on the host as it is. And what changes inside a cell: a forward, which lets somebody in
whether its cell was open already or not, and the subnets that `egress` denies. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NamedTuple

from guestnet.decide.facts import Facts
from guestnet.decide.reach import FAMILIES, predict
from guestnet.decide.upstream import reached
from guestnet.spec.world import Forward, Network, Subnet, World
from guestnet.words.ports import WHOLE, PortRange

_Way = tuple[str, str, int]  # source, target, family
ABSENT = "-"  # there is, or was, no such network or family
_NARROW, _WIDE = 22, 48  # of a line's first family, when it has little to say and at most
_LIST = re.compile(r"((?:[^ ,]+, ){3})(?:[^ ,]+, )*[^ ,]+")  # of more than three


@dataclass(frozen=True)
class Flip:
    """source and target as in the matrix, or a forward's target, `web1 203.0.113.2:4023/tcp`, or what egress denies,
    `10.0.0.0/8, 172.16.0.0/12 (egress)`. What differs stands first where something is a list."""

    source: str
    target: str
    family: int  # 4 or 6
    before: str  # a verdict, or ABSENT; of a forward also who may connect, and to which port
    after: str


def flips(before: World, after: World, facts: Facts, handed: Collection[str] = ()) -> tuple[Flip, ...]:
    """In the order of the matrix, then egress, then forwards by guest and port. What is new and closed, or was closed
    and goes, flips nothing. `handed`: networks that change hands. One that is missing in a world is on the host all the
    same, and runs by libvirt's rules."""
    if before == after:
        return ()
    return (*_cells(before, after, facts, handed), *_egress(before, after), *_forwards(before, after, facts))


def lines(found: Iterable[Flip]) -> list[str]:
    """A line a way, both families in it: `lab -> internet   v4 - -> yes   v6 no -> yes`. Long lists are cut."""
    ways: dict[tuple[str, str], dict[int, str]] = {}
    for flip in found:
        said = f"v{flip.family} {_cut(flip.before)} -> {_cut(flip.after)}"
        ways.setdefault((flip.source, flip.target), {})[flip.family] = said
    named = [(f"{source} -> {_cut(target)}", families) for (source, target), families in ways.items()]
    wide = max((len(name) for name, _ in named), default=0)
    column = min(_WIDE, max((len(families.get(4, "")) for _, families in named), default=0))
    return [
        f"{name:<{wide}}   {families.get(4, ''):<{max(_NARROW, column)}} {families.get(6, '')}".rstrip()
        for name, families in named
    ]


def _cut(text: str) -> str:
    return _LIST.sub(r"\1…", text)


def _cells(before: World, after: World, facts: Facts, handed: Collection[str]) -> Iterator[Flip]:
    olds, news = _verdicts(before, facts), _verdicts(after, facts)
    for key in dict.fromkeys([*news, *olds]):
        old, new = olds.get(key, ABSENT), news.get(key, ABSENT)
        if ABSENT in (old, new) and (key[0] in handed or key[1] in handed):
            continue
        if old != new and {old, new} != {"no", ABSENT}:
            yield Flip(*key, old, new)


def _verdicts(world: World, facts: Facts) -> dict[_Way, str]:
    return {(str(cell.source), str(cell.target), cell.family): cell.verdict for cell in predict(world, facts)}


def _egress(before: World, after: World) -> Iterator[Flip]:
    """Of networks that were there and stay: a new one has had no way to lose."""
    olds = {network.name: network for network in before.networks}
    for network in after.networks:
        old = olds.get(network.name, network)
        for family in FAMILIES:
            if _has(old, family) and _has(network, family):
                yield from _otherwise_denied(old, network, family)


def _otherwise_denied(old: Network, new: Network, family: int) -> Iterator[Flip]:
    was, now = ([subnet for subnet in network.deny if subnet.version == family] for network in (old, new))
    ways: dict[tuple[str, str], list[str]] = defaultdict(list)
    for subnet in dict.fromkeys([*now, *was]):
        said = _reached(subnet, was), _reached(subnet, now)
        if said[0] != said[1]:
            ways[said].append(str(subnet))
    for said, subnets in ways.items():
        yield Flip(new.name, f"{', '.join(subnets)} (egress)", family, *said)


def _has(network: Network, family: int) -> bool:
    return any(side.host.version == family for side in network.sides)


def _reached(subnet: Subnet, denied: Iterable[Subnet]) -> str:
    """Whether guests may connect to it; partly, where only some of it is denied."""
    found = "yes"
    for one in denied:
        if one.overlaps(subnet):
            if one.prefixlen <= subnet.prefixlen:
                return "no"
            found = "partly"
    return found


class _Door(NamedTuple):
    """Where a forward lets somebody in. A range is one: it is not expanded."""

    guest: str
    first: int
    last: int
    protocol: str
    listen: str  # as it stands before the port: an address, a NIC; empty for any
    family: int

    def __str__(self) -> str:
        where = f"{self.guest} {self.listen}"
        if self.protocol == WHOLE:
            return f"{where.removesuffix(':')}/{WHOLE}"
        return f"{where}{PortRange(self.first, self.last)}/{self.protocol}"


class _Lets(NamedTuple):
    """Who may connect, and to which port of the guest: `check` refuses a second one at the same door."""

    sources: frozenset[str]
    to: PortRange


ANYBODY = "anybody"


def _forwards(before: World, after: World, facts: Facts) -> Iterator[Flip]:
    """Each forward by itself: a second one to a guest flips no cell, and still lets somebody in. But nobody in a family
    that the host has no uplink of."""
    olds, news = _doors(before), _doors(after)
    for door in sorted({*olds, *news}):
        old, new = olds.get(door), news.get(door)
        if old != new and reached(facts, door.family):
            yield Flip("internet", str(door), door.family, _who(old, new), _who(new, old))


def _doors(world: World) -> dict[_Door, _Lets]:
    found: dict[_Door, tuple[set[str], PortRange]] = {}
    for guest in world.guests:
        for forward in guest.forwards:
            where = forward.protocol, _listen(forward), forward.target.version
            door = _Door(guest.name, forward.ports.first, forward.ports.last, *where)
            found.setdefault(door, (set(), forward.to))[0].add(str(forward.source or ANYBODY))
    return {door: _Lets(frozenset(sources), to) for door, (sources, to) in found.items()}


def _listen(forward: Forward) -> str:
    if forward.listen is None:
        return ""
    return f"[{forward.listen}]:" if isinstance(forward.listen, IPv6Address) else f"{forward.listen}:"


def _who(lets: _Lets | None, other: _Lets | None) -> str:
    """What a forward is on one side of the change, in as few words as tell it from the other side."""
    if lets is None:
        return "no"
    words = []
    if lets.sources != (other.sources if other else {ANYBODY}):
        first = lets.sources - (other.sources if other else set())
        words.append(f"from {', '.join([*sorted(first), *sorted(lets.sources - first)])}")
    if other and lets.to != other.to:
        words.append(f"to {lets.to}")
    return " ".join(words) or "yes"
