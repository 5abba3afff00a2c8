"""What is open at a guest's own address, as intervals that do not overlap. Pure.

The kernel refuses an interval that overlaps one in the same map, with "File exists", and with it the whole transaction
(6.18): two forwards to ports of one guest that overlap, from networks one of which is in the other, are that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from guestnet.spec.world import Subnet
from guestnet.words.ports import PortRange

Door = tuple[Subnet | None, PortRange]  # who may come in (None: everybody), and to which ports


def apart(doors: Iterable[Door]) -> Iterator[Door]:
    """The doors of one guest's address, family and protocol, none of which overlaps another and has the same `None` or
    not: those for everybody are a map of their own.

    Ranges that overlap become one, so what is left stays open when one of two goes. A network that is in a wider one
    keeps what the wider one has not. Ranges that only touch stay two: one forward is one interval, mostly.
    """
    wanted: dict[Subnet | None, list[PortRange]] = defaultdict(list)
    for source, ports in doors:
        wanted[source].append(ports)
    for source, ranges in wanted.items():
        wider = [
            ports
            for other, those in wanted.items()
            if source is not None and other is not None and other != source and _holds(other, source)
            for ports in those
        ]
        for ports in _joined(ranges):
            for left in _without(ports, _joined(wider)):
                yield source, left


def _holds(wider: Subnet, source: Subnet) -> bool:
    return wider.version == source.version and source.network_address in wider and wider.prefixlen <= source.prefixlen


def _joined(ranges: Iterable[PortRange]) -> list[PortRange]:
    found: list[PortRange] = []
    for ports in sorted(ranges):
        if found and found[-1].overlaps(ports):
            found[-1] = PortRange(found[-1].first, max(found[-1].last, ports.last))
        else:
            found.append(ports)
    return found


def _without(ports: PortRange, others: Iterable[PortRange]) -> Iterator[PortRange]:
    """What is left of a range; `others` are sorted, and apart."""
    first = ports.first
    for other in others:
        if not other.overlaps(ports):
            continue
        if first < other.first:
            yield PortRange(first, other.first - 1)
        first = other.last + 1
    if first <= ports.last:
        yield PortRange(first, ports.last)
