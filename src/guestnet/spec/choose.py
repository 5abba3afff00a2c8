"""Choosing what the file leaves open: subnets, names, MACs, addresses. Pure; randomness is given.

Order of everything: what is written wins, then what is remembered while it still fits, then the first that is free.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from itertools import chain, count
from random import Random
from typing import TypeVar

from guestnet.words.problems import GuestnetError

A = TypeVar("A", IPv4Address, IPv6Address)
N = TypeVar("N", IPv4Network, IPv6Network)
Subnet = IPv4Network | IPv6Network

_POOL6 = (0x10, 0xFF)  # host parts of the default DHCPv6 range
_POOL6_LARGE = (0x10, 0xFFFF)
_LARGEST_POOL6 = 112  # libvirt takes a range only inside one of these (virSocketAddrGetRange)
_USUAL4 = 24  # prefix
_LARGEST_POOL4 = 16  # libvirt takes a range only inside one /16 (virSocketAddrGetRange)
# So wide a route says nothing about who uses the addresses in it: the default, which VPNs write as two /1 (or four /2,
# and so on), and all of fc00::/7 or fd00::/8, which hosts have as unreachable. 10.0.0.0/8 does say something.
_WIDE = {4: 7, 6: 8}
_SUBNET_IDS = 1 << 16  # /64 in a /48
_FIRST_PART, _PARTS = 0xF, 1 << 12


@dataclass(frozen=True)
class Taken:
    """What others on the host have: subnets of routes, addresses and libvirt networks, names of links. And which
    networks of ours are there already: those keep what they have, whatever comes. `prefixes`: the global /64s of
    uplinks, by NIC, which guests can share; the best first. Those in `uplinks` have the default route."""

    subnets: tuple[Subnet, ...] = ()
    bridges: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset()
    prefixes: tuple[tuple[str, IPv6Network], ...] = ()
    uplinks: tuple[str, ...] = ()


def overlaps(one: Subnet, others: Iterable[Subnet]) -> bool:
    """Whether one of the others holds some of its addresses, and is not as wide as a default route."""
    same = (other for other in others if other.version == one.version)
    return any(other.prefixlen > _WIDE[other.version] and one.overlaps(other) for other in same)


def inside(address: IPv4Address | IPv6Address, subnet: Subnet) -> bool:
    """Whether a guest or the host can have `address` there: not at an edge (network, broadcast, router anycast)."""
    if address not in subnet or address == subnet.network_address:
        return False
    return isinstance(subnet, IPv6Network) or address != subnet.broadcast_address


def subnets(
    written: Iterable[N],
    auto: Iterable[str],
    remembered: Mapping[str, N],
    taken: Taken,
    fresh: Callable[[Collection[Subnet]], N],
) -> dict[str, N]:
    """The subnets of the networks in `auto`, of one family: the remembered ones that still fit, else `fresh` ones.

    A network that is there keeps its subnet also when others have it by now: it is not moved because a VPN came up.
    """
    used: list[Subnet] = list(written)
    chosen: dict[str, N] = {}
    for name in sorted(auto):
        known = remembered.get(name)
        free = known is not None and (name in taken.there or not overlaps(known, taken.subnets))
        if known is not None and free and not overlaps(known, used):
            chosen[name] = known
            used.append(known)
    used += [*remembered.values(), *taken.subnets]
    for name in sorted(set(auto) - chosen.keys()):
        chosen[name] = fresh(used)
        used.append(chosen[name])
    return chosen


def free_subnet4(used: Collection[Subnet]) -> IPv4Network:
    """The first free private /24. Raises GuestnetError when each overlaps something."""
    for subnet in _private():
        if not overlaps(subnet, used):
            return subnet
    raise GuestnetError(
        "no private IPv4 subnet is free on this host: each overlaps a route, an address or another network",
        "write one behind ipv4: in the file",
    )


def _private() -> Iterator[IPv4Network]:
    # From 100 up: home routers sit at the low end of 192.168, docker in 172.17 and up, so that comes last
    for base, subnets in (("192.168.100.0", range(155)), ("10.0.0.0", range(1 << 16)), ("172.16.0.0", range(1 << 12))):
        start = int(IPv4Address(base))
        for subnet in subnets:
            yield IPv4Network((start + (subnet << 8), 24))


def new_ula(random: Random) -> IPv6Network:
    """A /48 with 40 random bits (RFC 4193)."""
    return IPv6Network(((0xFD << 120) | (random.getrandbits(40) << 80), 48))


def free_subnet6(ula: IPv6Network, used: Collection[Subnet]) -> IPv6Network:
    """The first free /64 of the ULA from subnet id 1 up. Raises GuestnetError when there is none."""
    for number in range(1, _SUBNET_IDS):
        subnet = IPv6Network((int(ula.network_address) | (number << 64), 64))
        if not overlaps(subnet, used):
            return subnet
    raise GuestnetError(f"no /64 is free in {ula}", "write one behind ipv6: in the file")


def free_part(prefix: IPv6Network, length: int, used: Collection[IPv6Network]) -> IPv6Network:
    """The first free part of a /64, from ::f:0 up, so that it keeps clear of the low addresses that people give to
    routers and hosts. Raises GuestnetError when there is none."""
    size = 1 << (128 - length)
    for number in range(_FIRST_PART, _PARTS):
        part = IPv6Network((int(prefix.network_address) + number * size, length))
        if not overlaps(part, used):
            return part
    raise GuestnetError(f"no part is free in {prefix}", "write one behind address: in the file")


def free_bridge(used: Collection[str]) -> str:
    """The first free name as libvirt gives them: virbr0, virbr1, ..."""
    return next(name for name in (f"virbr{number}" for number in count()) if name not in used)


def new_mac(random: Random, used: Collection[str]) -> str:
    """A free MAC in KVM's block, 52:54:00."""
    while True:
        low = random.getrandbits(24)
        mac = f"52:54:00:{low >> 16:02x}:{low >> 8 & 255:02x}:{low & 255:02x}"
        if mac not in used:
            return mac


def pool4(host: IPv4Interface) -> tuple[IPv4Address, IPv4Address]:
    """The default DHCP range: the larger part of the subnet beside the host."""
    subnet = host.network
    block = IPv4Network((host.ip, max(subnet.prefixlen, _LARGEST_POOL4)), strict=False)
    first = max(subnet.network_address + 1, block.network_address)
    last = min(subnet.broadcast_address - 1, block.broadcast_address)
    return _beside(first, last, host.ip)


def pool6(host: IPv6Interface, host4: IPv4Interface | None) -> tuple[IPv6Address, IPv6Address]:
    """The default DHCPv6 range: ::10 to ::ff, or its larger part beside the host. Where the network's IPv4 is wider
    than a /24, to ::ffff: so many guests are expected. That is not their number, which would change a network that
    runs."""
    large = host4 is not None and host4.network.prefixlen < _USUAL4
    large = large and host.network.prefixlen <= _LARGEST_POOL6
    first, last = (host.network.network_address + part for part in (_POOL6_LARGE if large else _POOL6))
    return _beside(first, last, host.ip)


def _beside(first: A, last: A, host: A) -> tuple[A, A]:
    """The larger part of `first` to `last` (at least two addresses) beside the host; the upper one of equal parts."""
    if not first <= host <= last:
        return first, last
    above, below = int(last) - int(host), int(host) - int(first)
    return (host + 1, last) if above >= below else (first, host - 1)


def assign(
    asked: Mapping[str, A | None], remembered: Mapping[str, A], subnet: Subnet, host: A, pool: tuple[A, A] | None
) -> dict[str, A]:
    """Addresses of guests in one network and family, by guest name.

    `asked` has every guest that is there, with the address the file gives it or None. Without a pool (no DHCP) only
    written addresses are given: nothing would hand out others. Raises GuestnetError when the pool is used up.
    """
    given: dict[str, A] = {guest: address for guest, address in asked.items() if address is not None}
    if pool is None:
        return given
    used: set[A] = set(given.values())
    used.add(host)
    for guest in sorted(asked.keys() - given.keys()):
        address = remembered.get(guest)
        if address is not None and inside(address, subnet) and address not in used:
            given[guest] = address
            used.add(address)
    absent = set(remembered.values())  # kept for guests that may come back, as long as others are free
    for guest in sorted(asked.keys() - given.keys()):
        address = next(chain(_free(pool, used | absent), _free(pool, used)), None)
        if address is None:
            what = f"{pool[0]} to {pool[1]} has no free address for guest {guest}"
            raise GuestnetError(what, "widen the range of its network, or write its address in the file")
        given[guest] = address
        used.add(address)
    return given


def _free(pool: tuple[A, A], used: Collection[A]) -> Iterator[A]:
    kind = type(pool[0])
    return (kind(n) for n in range(int(pool[0]), int(pool[1]) + 1) if kind(n) not in used)
