"""The host's own IPv6, as the kernel knows it: addresses and routers with lifetimes, and whether a router is there."""

from __future__ import annotations

import socket
import time
from collections.abc import Container
from ipaddress import IPv6Interface
from pathlib import Path

from guestnet.decide.facts import Own6, Router6
from guestnet.host import sysctl
from guestnet.host.netlink import asking, links
from guestnet.host.run import run

_RTPROT_RA = 9  # linux/rtnetlink.h: the route came from a router advertisement, also where a program handled it
_RT_TABLE_MAIN = 254
_IFA_F_TEMPORARY = 0x01  # linux/if_addr.h
_FOR_EVER = 0xFFFFFFFF
_NUD_REACHABLE, _NUD_FAILED, _NUD_FIXED = 0x02, 0x20, 0x40 | 0x80  # linux/neighbour.h; noarp and permanent
_RTF_ADDRCONF = 0x00040000  # linux/ipv6_route.h: made of a router advertisement by the kernel itself
_ROUTES = Path("/proc/net/ipv6_route")
_FLAGS, _NIC = 8, 9  # columns there
_TICKS = 100  # a second: USER_HZ, in which the kernel counts to user space


def addresses(without: Container[str]) -> tuple[Own6, ...]:
    """Those of links that are not in `without`, but loopback and link-local ones."""
    names = links()
    found = []
    with asking() as netlink:
        for address in netlink.get_addr(family=socket.AF_INET6):
            own = IPv6Interface(
                (address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS"), address["prefixlen"])
            )
            name = names.get(address["index"], "?")
            if own.is_loopback or own.is_link_local or name in without:
                continue
            valid = (address.get_attr("IFA_CACHEINFO") or {}).get("ifa_valid", _FOR_EVER)
            flags = address.get_attr("IFA_FLAGS") or address["flags"]
            lifetime = None if valid == _FOR_EVER else valid
            found.append(Own6(name, own, lifetime, temporary=bool(flags & _IFA_F_TEMPORARY)))
    return tuple(sorted(found, key=lambda one: (one.nic, one.address)))


def routers() -> tuple[Router6, ...]:
    """Of the default routes in the main table."""
    names = links()
    found = set()
    with asking() as netlink:
        for route in netlink.get_default_routes(family=socket.AF_INET6, table=_RT_TABLE_MAIN):
            expires = (route.get_attr("RTA_CACHEINFO") or {}).get("rta_expires", 0)
            lifetime = expires // _TICKS if expires > 0 else None
            advertised = route["proto"] == _RTPROT_RA
            for hop in route.get_attr("RTA_MULTIPATH") or [route]:
                nic = names.get(hop.get_attr("RTA_OIF") or hop.get("oif", 0), "")
                if nic:
                    found.add(Router6(nic, str(hop.get_attr("RTA_GATEWAY") or ""), advertised, lifetime))
    return tuple(sorted(found, key=lambda one: (one.nic, one.gateway)))


def autoconfigured() -> dict[str, str]:
    """The NICs with routes that the kernel itself made of router advertisements, and the accept_ra that each has.

    libvirt refuses to start a network with IPv6 when one has 1, or 0 where `all` has 1, as it has by itself (9.0,
    virnetdevip.c, virNetDevIPCheckIPv6Forwarding, which reads this file too); and when forwarding goes on the kernel
    drops such default routes at once, unless it is 2 (net/ipv6/route.c, rt6_purge_dflt_routers).
    """
    try:
        rows = [line.split() for line in _ROUTES.read_text().splitlines()]
    except FileNotFoundError:
        return {}  # no IPv6 in this kernel
    nics = sorted({row[_NIC] for row in rows if int(row[_FLAGS], 16) & _RTF_ADDRCONF})
    return {nic: sysctl.read(f"net/ipv6/conf/{nic}/accept_ra") or "" for nic in nics}


def answers(nic: str, address: str, patience: float) -> bool:
    """Whether a neighbour says who it is, asked now whatever the kernel still believes; at most `patience` seconds. One
    that is entered by hand, or needs no question, counts as if it did."""
    state, mac = _neighbour(nic, address)
    if state & _NUD_FIXED:
        return True
    if mac:
        # With its own MAC and flag, so that only the question is new (neighbour states: ip-neighbour(8)).
        run("ip", "-6", "neigh", "change", address, "lladdr", mac, "dev", nic, "nud", "probe", "router")
    last = time.monotonic() + patience
    while not state & _NUD_FAILED and time.monotonic() < last:
        time.sleep(0.1)
        state, _ = _neighbour(nic, address)
        if state & _NUD_REACHABLE:
            return True
    return False


def _neighbour(nic: str, address: str) -> tuple[int, str]:
    """Its state, 0 when there is none, and its MAC."""
    index = next((number for number, name in links().items() if name == nic), 0)
    with asking() as netlink:
        for entry in netlink.get_neighbours(family=socket.AF_INET6, ifindex=index):
            if entry.get_attr("NDA_DST") == address and entry["ifindex"] == index:
                return entry["state"], entry.get_attr("NDA_LLADDR") or ""
    return 0, ""
