"""The networks behind the entries. The file names bridges and addresses; all else is a guess, and is marked as one.

A network is what has one bridge, or where no bridge is named, one /24. Its subnet is the usual one around its guests.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from guestnet.spec.choose import inside
from guestnet.spec.hooksjson.entries import Address, Entry
from guestnet.spec.hooksjson.fields import Said
from guestnet.words.addresses import HOST_BITS6

USUAL4, WIDEST4, NARROWEST4 = 24, 16, 30
LIBVIRTS_OWN = ("default", "virbr0")  # the network that libvirt comes with, and
_ITS_SUBNET = IPv4Network("192.168.122.0/24")


@dataclass(frozen=True)
class Nic:
    guest: str
    ipv4: IPv4Address
    ipv6: IPv6Address | None


@dataclass(frozen=True)
class Network:
    """`bridge` None: not known. `named`: the file has it."""

    name: str
    bridge: str | None
    named: bool
    ipv4: IPv4Interface
    ipv6: IPv6Interface | None
    nics: tuple[Nic, ...]


@dataclass
class _Group:
    """The entries of one network while it is put together: one a guest, addresses taken once."""

    bridge: str | None
    entries: list[Entry]

    @property
    def addresses(self) -> set[IPv4Address]:
        return {entry.ipv4 for entry in self.entries}


def networks(entries: Iterable[Entry], said: Said) -> list[Network]:
    """In the order of the file. What has no place in one is told; forwards to such an address go nowhere."""
    groups = [part for group in _groups(entries) for part in _split(_one_a_guest(group, said), said)]
    everywhere = sorted(address for group in groups for address in group.addresses)
    found: list[Network] = []
    names: set[str] = set()
    subnets6: set[IPv6Network] = set()
    for group in groups:
        host4 = _host4(group.addresses, everywhere)
        if host4 is None:
            first = group.entries[0]
            what = f"private_ip: no subnet holds {first.ipv4} and its neighbours, and no guest of another network"
            said.wrong(first.place4, what, "correct it, or interface")
            continue
        host6, has6 = _side6(group, subnets6, said)
        nics = tuple(Nic(entry.guest, entry.ipv4, has6.get(entry.guest)) for entry in group.entries)
        bridge = group.bridge or _libvirts_own(host4, groups)
        found.append(Network(_name(bridge, host4, names), bridge, group.bridge is not None, host4, host6, nics))
        names.add(found[-1].name)
        subnets6 |= {host6.network} if host6 else set()
    return found


def _usual(address: IPv4Address) -> IPv4Network:
    return IPv4Network((address, USUAL4), strict=False)


def _groups(entries: Iterable[Entry]) -> list[_Group]:
    """By bridge. Without one it is the network that has a neighbour in the /24."""
    listed = list(entries)
    bridges = {_usual(entry.ipv4): entry.bridge for entry in reversed(listed) if entry.bridge}
    groups: dict[str | IPv4Network, _Group] = {}
    for entry in listed:
        bridge = entry.bridge or bridges.get(_usual(entry.ipv4))
        groups.setdefault(bridge or _usual(entry.ipv4), _Group(bridge, [])).entries.append(entry)
    return list(groups.values())


def _one_a_guest(group: _Group, said: Said) -> _Group:
    """The first address of each guest. guestnet gives a guest one address in a network, the hook took any number."""
    guests: dict[str, Entry] = {}
    owners: dict[IPv4Address, Entry] = {}
    for entry in group.entries:
        mine, other = guests.get(entry.guest), owners.get(entry.ipv4)
        if other is not None and other.guest != entry.guest:
            what = f"{entry.ipv4} is already the private_ip of {other.guest} at line {other.place4.line}"
            said.wrong(entry.place4, what, "each guest has its own")
        elif mine is None:
            guests[entry.guest] = owners[entry.ipv4] = entry
        elif mine.ipv4 != entry.ipv4:
            said.note(entry.place4, *_second(entry.ipv4, mine.ipv4, entry.guest))
        elif mine.ipv6 is None:
            guests[entry.guest] = owners[entry.ipv4] = entry
        elif entry.ipv6 not in (None, mine.ipv6):
            said.note(entry.place6, *_second(entry.ipv6, mine.ipv6, entry.guest))
    return _Group(group.bridge, list(guests.values()))


def _second(address: Address | None, first: Address | None, guest: str) -> tuple[str, str]:
    what = f"{address} is a second address of {guest} in one network: its forwards are left out"
    return what, f"send them to {first}, or give the guest a NIC in another network"


def _split(group: _Group, said: Said) -> Iterator[_Group]:
    """The same, unless its guests are too far apart to be in one network; then the first part keeps the bridge."""
    parts: dict[IPv4Network, list[Entry]] = {}
    for entry in group.entries:
        parts.setdefault(IPv4Network((entry.ipv4, WIDEST4), strict=False), []).append(entry)
    first = group.entries[0].ipv4
    for i, entries in enumerate(parts.values()):
        if i:
            what = f"{entries[0].ipv4} and {first} are too far apart to be in one network, that of {group.bridge}"
            said.note(entries[0].place4, what, "it got a network of its own: see to interface, or write bridge: there")
        yield _Group(None if i else group.bridge, entries)


def _host4(own: set[IPv4Address], everywhere: list[IPv4Address]) -> IPv4Interface | None:
    """The host's address in a subnet that holds all its own and nobody else: the usual size, else wider, else narrower.

    Two such subnets never overlap: of two prefixes that do, one holds the other, and so its guests.
    """
    for length in (*range(USUAL4, WIDEST4 - 1, -1), *range(USUAL4 + 1, NARROWEST4 + 1)):
        subnet = IPv4Network((min(own), length), strict=False)
        inhabitants = bisect_right(everywhere, subnet[-1]) - bisect_left(everywhere, subnet[0])
        if all(inside(address, subnet) for address in own) and inhabitants == len(own):
            host = next((free for free in subnet.hosts() if free not in own), None)
            if host:
                return IPv4Interface((host, length))
    return None


def _side6(group: _Group, taken: set[IPv6Network], said: Said) -> tuple[IPv6Interface | None, dict[str, IPv6Address]]:
    """The host's address in the /64 of the first guest that has one, and who has which in it."""
    has: dict[str, IPv6Address] = {}
    subnet: IPv6Network | None = None
    owners: dict[Address, Entry] = {}
    for entry in group.entries:
        if entry.ipv6 is None:
            continue
        its = IPv6Network((entry.ipv6, HOST_BITS6), strict=False)
        subnet = subnet or (None if its in taken else its)
        if not inside(entry.ipv6, its):
            said.wrong(entry.place6, f"private_ipv6: {entry.ipv6} is the routers' address of {its}", "write another")
        elif entry.ipv6 in owners:
            other = owners[entry.ipv6]
            what = f"{entry.ipv6} is already the private_ipv6 of {other.guest} at line {other.place6.line}"
            said.wrong(entry.place6, what, "each guest has its own")
        elif its != subnet:
            what = f"{entry.ipv6} is left out, with its forwards: one network has one /64"
            said.note(entry.place6, f"{what}, and {its} is not that", "correct it, or interface")
        else:
            owners[entry.ipv6] = entry
            has[entry.guest] = entry.ipv6
    if subnet is None or not has:
        return None, has
    host = next(address for i in range(1, len(has) + 2) if (address := subnet[i]) not in owners)
    return IPv6Interface((host, HOST_BITS6)), has


def _libvirts_own(host: IPv4Interface, groups: Iterable[_Group]) -> str | None:
    """Its bridge, when nobody is told to be there and the subnet is its usual one."""
    _, bridge = LIBVIRTS_OWN
    free = host.network == _ITS_SUBNET and all(group.bridge != bridge for group in groups)
    return bridge if free else None


def _name(bridge: str | None, host: IPv4Interface, taken: set[str]) -> str:
    """That of the bridge, or one made of the subnet; libvirt's own network has its own."""
    name, its = LIBVIRTS_OWN
    if bridge != its:
        name = bridge or f"net-{str(host.network.network_address).replace('.', '-')}"
    while name in taken:
        name += "-2"
    return name


def places(networks: Iterable[Network]) -> dict[tuple[str, Address], str]:
    """(guest, its address) -> the network it is in."""
    return {
        (nic.guest, address): network.name
        for network in networks
        for nic in network.nics
        for address in (nic.ipv4, nic.ipv6)
        if address is not None
    }
