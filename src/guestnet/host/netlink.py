"""The door to links, addresses and routes of the kernel, read only; pyroute2 speaks netlink for us."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Network, IPv6Network

from pyroute2 import IPRoute

from guestnet.decide.facts import Uplink
from guestnet.host import sysctl

_RTPROT_RA = 9  # linux/rtnetlink.h: the route came from a router advertisement
_RT_TABLE_MAIN = 254
_IFA_F_PERMANENT = 0x80  # linux/if_addr.h: without it an address has a lifetime, from an advertisement or DHCPv6


def links() -> dict[int, str]:
    """Interface index -> name."""
    with IPRoute() as netlink:
        return {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}


def masters() -> dict[str, str]:
    """Link -> the bridge (or other master) it is plugged into, for links that are in one."""
    with IPRoute() as netlink:
        found = {link["index"]: link for link in netlink.get_links()}
    names = {index: link.get_attr("IFLA_IFNAME") for index, link in found.items()}
    plugged = {names[index]: link.get_attr("IFLA_MASTER") for index, link in found.items()}
    return {name: names.get(master, "?") for name, master in plugged.items() if master}


def uplinks() -> tuple[Uplink, ...]:
    """The NICs with a default route, and whether the kernel itself takes the IPv6 one from router advertisements."""
    names = links()
    families: dict[str, set[int]] = {}
    learned = set()
    with IPRoute() as netlink:
        for family, number in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            for route in netlink.get_default_routes(family=family, table=_RT_TABLE_MAIN):
                for index in _outputs(route):
                    name = names.get(index, "")
                    families.setdefault(name, set()).add(number)
                    if route["proto"] == _RTPROT_RA and sysctl.read(f"net/ipv6/conf/{name}/accept_ra") != "0":
                        learned.add(name)
    families.pop("", None)
    return tuple(Uplink(name, tuple(sorted(found)), name in learned) for name, found in sorted(families.items()))


def learning() -> tuple[str, ...]:
    """The NICs that have a route or an address from router advertisements which the kernel itself handles.

    With forwarding on and accept_ra 1 the kernel hears no more of them: routes go at once, addresses when they expire.
    """
    names = links()
    found = {uplink.nic for uplink in uplinks() if uplink.kernel_ra}
    with IPRoute() as netlink:
        for address in netlink.get_addr(family=socket.AF_INET6):
            flags = address.get_attr("IFA_FLAGS") or address["flags"]
            name = names.get(address["index"], "")
            global_one = not ipaddress.ip_address(address.get_attr("IFA_ADDRESS")).is_link_local
            if global_one and not flags & _IFA_F_PERMANENT:
                found.add(name)
    takes = {name for name in found if sysctl.read(f"net/ipv6/conf/{name}/accept_ra") not in (None, "0")}
    return tuple(sorted(takes))


def subnets() -> tuple[tuple[str, IPv4Network | IPv6Network], ...]:
    """(link, connected subnet) of every address but loopback and link-local ones."""
    names = links()
    found: set[tuple[str, IPv4Network | IPv6Network]] = set()
    with IPRoute() as netlink:
        for address in netlink.get_addr():
            text = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
            interface = ipaddress.ip_interface(f"{text}/{address['prefixlen']}")
            if not (interface.is_loopback or interface.is_link_local):
                found.add((names.get(address["index"], "?"), interface.network))
    return tuple(sorted(found, key=str))


def _outputs(route: object) -> list[int]:
    """Interface indices of a route, one or several (multipath)."""
    single = route.get_attr("RTA_OIF")  # type: ignore[attr-defined]  # pyroute2 has no types for its messages
    several = route.get_attr("RTA_MULTIPATH") or []  # type: ignore[attr-defined]
    return [single] if single else [hop["oif"] for hop in several]
