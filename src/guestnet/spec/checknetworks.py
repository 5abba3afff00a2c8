"""Rules on networks: subnets, ranges, bridges."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from guestnet.spec.checkknobs import device_problems, knob_problems, lan_problems
from guestnet.spec.choose import inside
from guestnet.spec.document import Loaded, Path
from guestnet.spec.models import Network, Side4, Side6, Spec
from guestnet.words import modes
from guestnet.words.addresses import HOST_BITS6, in_prefix
from guestnet.words.families import IPV4
from guestnet.words.problems import Place, Problem

WIDEST4, NARROWEST4 = 8, 30  # prefix lengths: from 10.0.0.0/8 to a host and one guest
_UNFIT4 = {
    IPv4Network("0.0.0.0/8"): "reserved",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
}
_UNFIT6 = {
    IPv6Network("::/8"): "loopback or reserved",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("ff00::/8"): "multicast",
}
_ONE_RANGE4 = 16  # a DHCP range of libvirt stays inside one /16 and one /112 (virSocketAddrGetRange)
_ONE_RANGE6 = 112


def network_problems(spec: Spec, loaded: Loaded, whole: Loaded) -> Iterator[Problem]:
    for name, network in spec.networks.items():
        yield from _mode_keys(name, network, loaded)
    for name, network in spec.virtual.items():
        path: Path = ("networks", name)
        yield from _subnet4(network.ipv4, loaded, (*path, "ipv4"))
        yield from _subnet6(network.ipv6, loaded, (*path, "ipv6"))
        for side, key in ((network.ipv4, "ipv4"), (network.ipv6, "ipv6")):
            yield from _dhcp(side, name, loaded, (*path, key))
        yield from _families(name, network, loaded)
        yield from knob_problems(name, network, loaded)
    for name, network in spec.networks.items():
        if network.on_lan:
            yield from lan_problems(name, network, loaded, whole)
    yield from _overlaps(spec, loaded)
    yield from _bridges(spec, loaded)
    yield from device_problems(spec, loaded)


def _families(name: str, network: Network, loaded: Loaded) -> Iterator[Problem]:
    if network.ipv6.address != "none":
        return
    path: Path = ("networks", name)
    if network.ipv4.address == "none":
        what = f"network {name} has neither IPv4 nor IPv6"
        yield Problem(what, "give it one of them", loaded.place((*path, "ipv6")))
    if network.nat and network.nat.ipv6:
        what = f"nat has ipv6: true, and network {name} has no IPv6"
        yield Problem(what, "remove it, or give the network ipv6", loaded.place((*path, "nat", "ipv6")))


def _mode_keys(name: str, network: Network, loaded: Loaded) -> Iterator[Problem]:
    """Keys that belong to other modes."""
    for key in sorted(Network.model_fields.keys() - modes.KEYS[network.mode] - {"mode"}):
        path: Path = ("networks", name, key)
        value = getattr(network, key)
        none = isinstance(value, (Side4, Side6)) and value.address == "none"  # says what is so anyway
        if path in loaded.keys and not none:
            others = [mode for mode in modes.MODES if key in modes.KEYS[mode]]
            what = f"{key} means nothing in network {name} of mode {network.mode}"
            yield Problem(what, f"remove it; it belongs to mode {', '.join(others)}", loaded.key(path))


def _subnet4(side: Side4, loaded: Loaded, path: Path) -> Iterator[Problem]:
    host = side.address
    if not isinstance(host, IPv4Interface):
        return
    place, subnet = loaded.place((*path, "address")), host.network
    unfit = next((kind for block, kind in _UNFIT4.items() if subnet.overlaps(block)), None)
    if not WIDEST4 <= subnet.prefixlen <= NARROWEST4:
        yield Problem(
            f"/{subnet.prefixlen} is no subnet for guests", f"write /{WIDEST4} to /{NARROWEST4}, usually /24", place
        )
    elif unfit:
        yield Problem(f"{subnet} is {unfit}", "write a private subnet such as 192.168.100.1/24, or auto", place)
    elif not inside(host.ip, subnet):
        kind = "network" if host.ip == subnet.network_address else "broadcast"
        todo = f"write an address in it, such as {subnet.network_address + 1}/{subnet.prefixlen}"
        yield Problem(f"{host.ip} is the {kind} address of {subnet}", todo, place)
    elif side.ranges:
        yield from _range(side.ranges[0], host, loaded.place((*path, "ranges", 0)))


def _subnet6(side: Side6, loaded: Loaded, path: Path) -> Iterator[Problem]:
    host = side.address
    if not isinstance(host, IPv6Interface):
        return
    place, subnet = loaded.place((*path, "address")), host.network
    part = side.prefix == "uplink"  # of a /64: see checkprefix
    unfit = next((kind for block, kind in _UNFIT6.items() if subnet.overlaps(block)), None)
    if subnet.prefixlen != HOST_BITS6 and not part:
        todo = f"write {host.ip}/64: guests take their address from a router advertisement, and that wants /64"
        yield Problem(f"/{subnet.prefixlen} is no IPv6 prefix for guests", todo, place)
    elif unfit:
        yield Problem(f"{subnet} is {unfit}", "write a prefix such as fd5c:6a1b:20e7:1::1/64, or auto", place)
    elif not inside(host.ip, subnet) and not part:
        todo = f"write {subnet.network_address + 1}/64"
        yield Problem(f"{host.ip} is the routers' anycast address of {subnet}", todo, place)
    elif side.ranges:
        first, last = (in_prefix(end, host) for end in side.ranges[0])
        yield from _range((first, last), host, loaded.place((*path, "ranges", 0)))


def _range(
    ends: tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address],
    host: IPv4Interface | IPv6Interface,
    place: Place,
) -> Iterator[Problem]:
    first, last = ends
    subnet = host.network
    outside = [end for end in ends if not inside(end, subnet)]
    longest = _ONE_RANGE4 if first.version == IPV4 else _ONE_RANGE6
    block = first.max_prefixlen - longest
    if outside:
        what = (
            f"{outside[0]} is outside {subnet}" if outside[0] not in subnet else f"{outside[0]} is an edge of {subnet}"
        )
        yield Problem(what, f"write a range inside it, without {subnet.network_address}", place)
    elif int(first) >> block != int(last) >> block:
        yield Problem(f"the range {first}-{last} is too large", f"libvirt takes one inside a /{longest}", place)
    elif first == last == host.ip:
        yield Problem(f"the range {first}-{last} holds the host's own address only", "make it larger", place)


def _dhcp(side: Side4 | Side6, name: str, loaded: Loaded, path: Path) -> Iterator[Problem]:
    family = path[-1]
    for key in ("ranges", "lease", "dhcp"):
        written = (*path, key) in loaded.keys
        if not written:
            continue
        if side.address == "none" and (key != "dhcp" or side.dhcp):
            yield Problem(
                f"{key} without addresses: {family} is none in network {name}", "remove it", loaded.key((*path, key))
            )
        elif not side.dhcp and key != "dhcp":
            yield Problem(
                f"{key} without DHCP in network {name}", f"remove {key}, or dhcp: false", loaded.key((*path, key))
            )
        elif key == "ranges" and side.address == "auto" and _whole(side):
            todo = "write the network's address too" + (", or host parts such as ::10-::ff" if family == "ipv6" else "")
            yield Problem(
                f"a range needs a subnet, and {family} of network {name} is auto", todo, loaded.place((*path, key, 0))
            )


def _whole(side: Side4 | Side6) -> bool:
    """Whether the range is of whole addresses, not of host parts."""
    if isinstance(side, Side4):
        return True
    return any(int(end) >> HOST_BITS6 for ends in side.ranges or () for end in ends)


def _overlaps(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    """One problem for each subnet that begins inside another, told at the later of the two places."""
    widest: tuple[Place, str, IPv4Interface | IPv6Interface] | None = None
    for one in sorted(_written(spec, loaded), key=_by_subnet):
        if widest and _begins_inside(one[2], widest[2]):
            first, later = sorted((widest, one), key=lambda both: both[0])
            what = f"{later[2].network} overlaps {first[2].network} of network {first[1]} at line {first[0].line}"
            yield Problem(what, "choose another, or auto", later[0])
        else:
            widest = one


def _by_subnet(one: tuple[Place, str, IPv4Interface | IPv6Interface]) -> tuple[int, int, int, Place]:
    """Each subnet behind those that hold it."""
    subnet = one[2].network
    return subnet.version, int(subnet.network_address), subnet.prefixlen, one[0]


def _begins_inside(host: IPv4Interface | IPv6Interface, wider: IPv4Interface | IPv6Interface) -> bool:
    return host.version == wider.version and host.network.network_address in wider.network


def _written(spec: Spec, loaded: Loaded) -> Iterator[tuple[Place, str, IPv4Interface | IPv6Interface]]:
    for name, network in spec.virtual.items():
        for host, key in ((network.ipv4.address, "ipv4"), (network.ipv6.address, "ipv6")):
            if not isinstance(host, str):
                yield loaded.place(("networks", name, key, "address")), name, host


def _bridges(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    seen: dict[str, tuple[str, Place]] = {}
    written = [
        (loaded.place(("networks", name, "bridge")), name, network.bridge) for name, network in spec.networks.items()
    ]
    for place, name, bridge in sorted(written):
        if bridge is None:
            continue
        if bridge in seen:
            other, where = seen[bridge]
            what = f"bridge {bridge} is already that of network {other} at line {where.line}"
            yield Problem(what, "each network needs its own", place)
        else:
            seen[bridge] = (name, place)
