"""Rules on what a network may do besides its mode, and on networks on the LAN."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from guestnet.spec.document import Loaded, Path
from guestnet.spec.models import Network, Route, Spec
from guestnet.words.problems import Place, Problem

SMALLEST_MTU6 = 1280  # RFC 8200, section 5
_WAYS = ("pf", "devices", "interfaces")


def knob_problems(name: str, network: Network, loaded: Loaded) -> Iterator[Problem]:
    path: Path = ("networks", name)
    yield from _inbound(name, network, loaded)
    if "host" in network.egress.deny and network.host_access == "full":
        what = f"network {name} denies its guests the host, and has host_access: full"
        yield Problem(what, "remove one of them", loaded.key((*path, "host_access")))
    if (network.dns.forwarders or network.dns.hosts) and _no_dns(network):
        what = f"network {name} has no DNS: host_access is none"
        yield Problem(what, "write host_access: services, or remove dns", loaded.key((*path, "dns")))
    if network.mtu and network.mtu < SMALLEST_MTU6 and network.ipv6.address != "none":
        what = f"an MTU of {network.mtu} is too small for IPv6"
        yield Problem(what, f"write {SMALLEST_MTU6} or more, or ipv6: none", loaded.place((*path, "mtu")))
    if network.proxy_arp and network.uplink is None and network.mode == "routed":
        what = f"proxy_arp of network {name} needs to know where"
        yield Problem(what, "write uplink: and the NIC that answers for the guests", loaded.key((*path, "proxy_arp")))
    for i, route in enumerate(network.routes):
        wrong = _route(name, network, route)
        if wrong:
            yield Problem(*wrong, loaded.place((*path, "routes", i)))


def lan_problems(name: str, network: Network, loaded: Loaded, whole: Loaded) -> Iterator[Problem]:
    path: Path = ("networks", name)
    if (*path, "interface") in whole.keys and network.interface is None:
        return  # its own problem is told already
    if network.mode == "macvtap" and network.interface is None:
        yield Problem(f"network {name} of mode macvtap has no interface", "write interface: eth1", loaded.key(path))
    if network.mode == "passthrough":
        yield from _devices(name, network, loaded, whole)
    if network.mode == "bridge" and network.interface is None:
        if network.bridge is None:
            what = f"network {name} of mode bridge has neither bridge nor interface"
            todo = "write bridge: and one that exists, or interface: and a spare NIC to make one over"
            yield Problem(what, todo, loaded.key(path))
        for key in ("mac", "mtu", "stp"):
            if (*path, key) in loaded.keys:
                what = f"bridge {network.bridge or ''} of network {name} exists already: its {key} is not ours"
                yield Problem(what, f"remove {key}, or write interface:", loaded.key((*path, key)))


def device_problems(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    """What of the host one network has for itself: a device or NIC passed through, a NIC in a bridge."""
    seen: dict[str, tuple[str, Place]] = {}
    for place, name, thing in sorted(_taken(spec, loaded)):
        if thing in seen:
            other, where = seen[thing]
            what = f"{thing} is already used by network {other} at line {where.line}"
            shared = spec.networks[name].pf == thing == spec.networks[other].pf
            todo = "share its virtual functions out by devices:" if shared else "each network needs its own"
            yield Problem(what, "write it once" if other == name else todo, place)
        else:
            seen[thing] = (name, place)


def _taken(spec: Spec, loaded: Loaded) -> Iterator[tuple[Place, str, str]]:
    for name, network in spec.networks.items():
        path: Path = ("networks", name)
        if network.mode == "bridge" and network.interface:
            yield loaded.place((*path, "interface")), name, network.interface
        if network.mode == "passthrough":
            if network.pf:
                yield loaded.place((*path, "pf")), name, network.pf
            for key in ("devices", "interfaces"):
                for i, thing in enumerate(getattr(network, key)):
                    yield loaded.place((*path, key, i)), name, thing


def _devices(name: str, network: Network, loaded: Loaded, whole: Loaded) -> Iterator[Problem]:
    path: Path = ("networks", name)
    keys = [key for key in _WAYS if (*path, key) in whole.keys]
    if not keys:
        what = f"network {name} of mode passthrough names no device"
        todo = "write pf: and a NIC with virtual functions, or devices: and PCI addresses, or interfaces: and NICs"
        yield Problem(what, todo, loaded.key(path))
    for key in keys[1:]:
        what = f"network {name} of mode passthrough has both {keys[0]} and {key}"
        yield Problem(what, "a network of libvirt has one of them: make two networks", whole.key((*path, key)))
    if network.vlan is not None and keys == ["interfaces"]:
        what = f"network {name} has a vlan, and passes whole NICs through, which tag nothing"
        yield Problem(what, "remove vlan, or use virtual functions (pf or devices)", loaded.key((*path, "vlan")))


def _inbound(name: str, network: Network, loaded: Loaded) -> Iterator[Problem]:
    """libvirt translates, and rejects what is new from outside; nothing of ours can change that."""
    if network.mode != "nat":
        return
    path: Path = ("networks", name, "inbound")
    nat66 = network.nat.ipv6 if network.nat else None
    nat66 = network.ipv6.prefix is None if nat66 is None else nat66
    for family, translated in (("ipv4", True), ("ipv6", nat66)):
        if getattr(network.inbound, family) == "open" and translated:
            what = f"network {name} of mode nat cannot be open in {family.replace('ipv', 'IPv')}: it is translated"
            todo = "use forwards, or mode routed" + (", or nat: {ipv6: false}" if family == "ipv6" else "")
            yield Problem(what, todo, loaded.place((*path, family)))


def _no_dns(network: Network) -> bool:
    return network.host_access == "none" or (network.host_access is None and network.mode == "isolated")


def _route(name: str, network: Network, route: Route) -> tuple[str, str] | None:
    side = network.ipv4 if isinstance(route.to, IPv4Network) else network.ipv6
    family = f"IPv{route.to.version}"
    if route.via.version != route.to.version:
        return f"{route.via} is no {family} address, and {route.to} is {family}", "write both in one family"
    if isinstance(side.address, str):
        what = f"the route to {route.to} needs a subnet, and {family.lower()} of network {name} is {side.address}"
        return what, f"write {family.lower()} of network {name} too"
    if route.via not in side.address.network or route.via == side.address.ip:
        return f"{route.via} is no guest's address in network {name}", f"write one in {side.address.network}"
    if route.to.overlaps(side.address.network):
        return f"{route.to} overlaps network {name} itself", "remove the route, or make it smaller"
    return None
