"""Asks on our bridges who has an address, by the kernel's own ARP and neighbour discovery.

What the kernel remembers of a neighbour may be long past: an entry that nobody needs stays as it is (STALE) until the
table is full. ip-neighbour(8) has the states.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from guestnet.decide.facts import Neighbour
from guestnet.host.netlink import asking, links
from guestnet.words.families import IPV4

_NUD_PROBE, _NUD_KNOWN = 0x10, 0x02 | 0x40 | 0x80  # linux/neighbour.h; known: reachable, noarp, permanent
_NUD_ASKING = 0x01 | 0x08 | 0x10  # incomplete, delay, probe
_NTF_USE, _NTF_ROUTER = 0x01, 0x80
_PATIENCE = 3.5  # seconds: the kernel asks three times, a second apart
_PAUSE = 0.02
Asked = tuple[str, str, IPv4Address | IPv6Address]  # link, MAC, address
_Entry = tuple[str, str]  # link, address


def asked(known: tuple[Neighbour, ...], questions: Iterable[Asked]) -> tuple[Neighbour, ...]:
    """`known`, with the truth of now about those that are asked for: who answers is in it, and no other of them. Takes
    some milliseconds where all answer, 3 s where one does not, and none without questions."""
    wanted = set(questions)
    if not wanted:
        return known
    rest = [one for one in known if (one.link, one.mac, one.address) not in wanted]
    indices = {name: index for index, name in links().items()}
    with asking() as netlink:
        there = _entries(netlink, wanted, indices)
        open_ones = {(link, str(address)) for link, _, address in wanted if link in indices}
        for link, address in sorted(open_ones):
            _ask(netlink, indices[link], address, there.get((link, address)))
        last = time.monotonic() + _PATIENCE
        while open_ones and time.monotonic() < last:
            time.sleep(_PAUSE)
            there = _entries(netlink, wanted, indices)
            open_ones = {one for one in open_ones if one in there and there[one]["state"] & _NUD_ASKING}
    answers = [
        Neighbour(*one)
        for one in wanted
        if (entry := there.get((one[0], str(one[2])))) is not None
        and entry["state"] & _NUD_KNOWN
        and (entry.get_attr("NDA_LLADDR") or "").lower() == one[1]
    ]
    return tuple(sorted([*rest, *answers], key=lambda one: (one.link, one.address.version, one.address)))


def _entries(netlink: IPRoute, wanted: set[Asked], indices: dict[str, int]) -> dict[_Entry, Any]:
    names = {indices[link]: link for link, _, _ in wanted if link in indices}
    found = {}
    for family in {socket.AF_INET if one.version == IPV4 else socket.AF_INET6 for _, _, one in wanted}:
        for entry in netlink.get_neighbours(family=family):
            if entry["ifindex"] in names:
                found[names[entry["ifindex"]], entry.get_attr("NDA_DST")] = entry
    return found


def _ask(netlink: IPRoute, index: int, address: str, entry: Any) -> None:
    """With its own MAC and flag, so that only the question is new. One that the kernel does not know it is to use."""
    its = {"dst": address, "ifindex": index}
    mac = entry.get_attr("NDA_LLADDR") if entry is not None else None
    with contextlib.suppress(NetlinkError):  # who can't be asked does not answer
        if mac:
            netlink.neigh("change", lladdr=mac, state=_NUD_PROBE, flags=entry["flags"] & _NTF_ROUTER, **its)
        else:
            netlink.neigh("replace", state=0, flags=_NTF_USE, **its)
