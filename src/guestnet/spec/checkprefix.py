"""Rules on `prefix` of a network's IPv6: what the file alone can say of it. What the uplink has shows in the plan."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Interface, IPv6Network

from guestnet.spec.document import Loaded, Path
from guestnet.spec.models import Network, Side6, Spec
from guestnet.words.addresses import HOST_BITS6, is_private
from guestnet.words.problems import Place, Problem

# A part of the uplink's /64 is a network of its own in it. The kernel takes the longest prefix, so it must be longer
# than that; and DHCP needs some room.
WIDEST, NARROWEST, USUAL = 96, 120, 112


def prefix_problems(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    for name, network in spec.virtual.items():
        path: Path = ("networks", name, "ipv6")
        side = network.ipv6
        if side.ndp_proxy and side.prefix != "uplink":
            yield _needless_proxy(side, loaded.key((*path, "ndp_proxy")))
        if side.prefix is None:
            continue
        place = loaded.place((*path, "prefix"))
        wrong = _mode(name, network) or _address(side) or _prefix(side) or _proxy(side)
        if wrong:
            yield Problem(*wrong, place)
        else:
            yield from _parts(side, loaded, path)
        if side.prefix == "uplink" and not side.dhcp:
            what = f"network {name} has a part of the uplink's prefix, too small for SLAAC, and dhcp: false"
            todo = "leave dhcp out: guests have their addresses by DHCPv6; or write prefix: translate"
            yield Problem(what, todo, loaded.place((*path, "dhcp")))
        if side.shared and network.nat and network.nat.ipv6:
            what = f"network {name} has a prefix of its uplink's, and nat has ipv6: true"
            todo = "remove one of them: with the prefix guests have addresses of their own outside"
            yield Problem(what, todo, loaded.place(("networks", name, "nat", "ipv6")))
    yield from _twice(spec, loaded)


def _needless_proxy(side: Side6, place: Place) -> Problem:
    if side.prefix == "translate":
        return Problem("ndp_proxy means nothing with prefix: translate", "remove it: that has it by itself", place)
    if side.prefix is None:
        todo = "write prefix: uplink too, or remove ndp_proxy"
        return Problem("ndp_proxy needs to know for which addresses", todo, place)
    what = f"ndp_proxy means nothing with prefix: {side.prefix}, which is routed to the host"
    return Problem(what, "remove it; for the uplink's own prefix write prefix: uplink", place)


def _mode(name: str, network: Network) -> tuple[str, str] | None:
    if network.mode == "isolated":
        return f"a global prefix in network {name}, which is isolated, reaches nobody", "remove it, or use mode nat"
    if network.mode == "routed" and network.ipv6.prefix == "translate":
        what = f"network {name} of mode routed translates nothing"
        return what, "use mode nat (with inbound: {ipv6: open} if everybody may connect), or prefix: uplink"
    return None


def _address(side: Side6) -> tuple[str, str] | None:
    """Whether the host's own address goes with the prefix."""
    host, prefix = side.address, side.prefix
    if host == "none":
        return "a prefix, and address: none", "remove one of them"
    if not isinstance(host, IPv6Interface):
        return None
    match prefix:
        case "uplink":
            return _part(host)
        case "translate" if not is_private(host.ip):
            what = f"with prefix: translate the network itself has a ULA, and {host.ip} is global"
            return what, "leave address out; for a prefix that is routed to this host write that behind prefix:"
        case IPv6Network() if prefix.prefixlen == HOST_BITS6 and host.network != prefix:
            return f"{host} is not in {prefix}", f"write address: {prefix.network_address + 1}/64, or leave it out"
    return None


def _part(host: IPv6Interface) -> tuple[str, str] | None:
    """Of the uplink's prefix the network takes a part."""
    if is_private(host.ip):
        return f"{host.ip} is private, and prefix: uplink is for global addresses", "leave address out"
    if not WIDEST <= host.network.prefixlen <= NARROWEST:
        what = f"/{host.network.prefixlen} is no part of the uplink's /64 for guests"
        return what, f"write /{WIDEST} to /{NARROWEST}, usually /{USUAL}, or leave address out"
    if host.ip == host.network.network_address:
        todo = f"write {host.network.network_address + 1}/{host.network.prefixlen}"
        return f"{host.ip} is the routers' anycast address of {host.network}", todo
    return None


def _prefix(side: Side6) -> tuple[str, str] | None:
    prefix = side.prefix
    if not isinstance(prefix, IPv6Network):
        return None
    if prefix.prefixlen < HOST_BITS6:
        first = IPv6Network((prefix.network_address, HOST_BITS6))
        return f"/{prefix.prefixlen} is more than one network can have", f"write a /64 of it, such as {first}"
    if prefix.prefixlen > HOST_BITS6:
        what = f"/{prefix.prefixlen} is too small for a network that is routed to"
        todo = "router advertisements want a /64: ask for one, or write prefix: uplink and ndp_proxy: true"
        return what, todo
    if is_private(prefix.network_address):
        what = f"{prefix} is private: nobody outside has a route to it"
        return what, f"write address: {prefix.network_address + 1}/64 instead, or a global prefix"
    return None


def _proxy(side: Side6) -> tuple[str, str] | None:
    if side.prefix != "uplink" or side.ndp_proxy:
        return None
    what = "prefix: uplink without ndp_proxy: nobody outside would find the guests"
    return what, "write ndp_proxy: true; if the provider routes a prefix to this host, write that behind prefix:"


def _parts(side: Side6, loaded: Loaded, path: Path) -> Iterator[Problem]:
    """Ranges in a part of the uplink's prefix, whatever that will be."""
    if side.prefix != "uplink" or isinstance(side.address, IPv6Interface):
        return
    for ends in side.ranges or ():
        wrong = next((end for end in ends if not 1 < int(end) < 1 << (128 - USUAL)), None)
        if wrong is not None:
            what = f"{wrong} is outside a part of the uplink's prefix, which is a /{USUAL}"
            yield Problem(what, "write host parts such as ::10-::ff", loaded.place((*path, "ranges", 0)))


def _twice(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    """A prefix can stand for one ULA only."""
    seen: dict[str | None, tuple[Place, str]] = {}
    written = [
        (loaded.place(("networks", name, "ipv6", "prefix")), name, network.uplink)
        for name, network in spec.virtual.items()
        if network.ipv6.prefix == "translate"
    ]
    for place, name, uplink in sorted(written, key=lambda one: one[0]):
        if uplink in seen:
            where, other = seen[uplink]
            what = f"the uplink's prefix is already that of network {other} at line {where.line}"
            todo = "one network can have it: write ipv6: auto here (NAT66), or another uplink"
            yield Problem(what, todo, place)
        else:
            seen[uplink] = (place, name)
