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


def links() -> dict[int, str]:
    """Interface index -> name."""
    with IPRoute() as netlink:
        return {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}


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
