"""The host that a prediction is for: a guest of the file, or whoever has some addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, IPv6Interface, IPv6Network, ip_interface

from guestnet.decide.select.case import Host, Link, Own
from guestnet.spec.world import Guest, Network, Nic, World
from guestnet.words.addresses import eui64
from guestnet.words.problems import GuestnetError

_FOUR, _SIX = 4, 6
_WHOLE6, _USUAL4, _USUAL6 = 128, 24, 64
_LINK = IPv6Network("fe80::/64")


def host_with(addresses: Iterable[str]) -> Host:
    """One NIC with these, and a default route in each family that they are of. Without a prefix length: /24 and /64."""
    own = [_own(text) for text in addresses]
    families = {one.address.version for one in own}
    return Host((Link("eth0", tuple(own)),), default4=_FOUR in families, default6=_SIX in families)


def _own(text: str) -> Own:
    try:
        there = ip_interface(text)
    except ValueError as error:
        raise GuestnetError(
            f"--from {text}: {error}", "write an address such as 192.168.122.10 or fd00::10/64"
        ) from error
    bits = there.network.prefixlen
    if "/" not in text:
        bits = _USUAL4 if there.version == _FOUR else _USUAL6
    return Own(there.ip, bits)


def host_of(world: World, guest: Guest) -> Host:
    """As its addresses are reserved: IPv4 by DHCP, IPv6 by DHCPv6, which gives a /128; its routes come from router
    advertisements. Raises GuestnetError for a guest on the LAN, whose addresses others give."""
    networks = {network.name: network for network in world.networks}
    if any(nic.network not in networks for nic in guest.nics):
        raise GuestnetError(f"{guest.name} is on the LAN, which gives it its addresses", "name them: --from ADDR")
    nics = [(f"eth{i}", networks[nic.network], nic) for i, nic in enumerate(guest.nics)]
    links = tuple(Link(name, tuple(_addresses(network, nic))) for name, network, nic in nics)
    routes = [line for name, network, nic in nics for line in _routes(name, network, nic)]
    return Host(links, routes=tuple(dict.fromkeys(routes)))


def _addresses(network: Network, nic: Nic) -> Iterator[Own]:
    if network.v4 and nic.ipv4:
        yield Own(nic.ipv4, network.v4.host.network.prefixlen)
    if network.v6:
        if nic.ipv6:
            yield Own(nic.ipv6, _USUAL6 if nic.slaac else _WHOLE6)
        yield Own(eui64(nic.mac or "52:54:00:00:00:01", _LINK), _USUAL6)


def _routes(name: str, network: Network, nic: Nic) -> Iterator[str]:
    """An isolated network has no way out: libvirt sends no router option, and advertises itself for no time."""
    side4, side6 = network.v4, network.v6
    out = network.mode != "isolated"
    if side6 and nic.ipv6 and not nic.slaac:
        yield f"{_net(side6.host)} dev {name}"
    if side4 and nic.ipv4 and out:
        yield f"0.0.0.0/0 via {side4.host.ip} dev {name}"
    if side6 and nic.ipv6 and out:
        yield f"::/0 dev {name}"


def _net(host: IPv4Interface | IPv6Interface) -> str:
    return str(host.network)
