"""The door to links, addresses and routes of the kernel, read only; pyroute2 speaks netlink for us."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Container, Iterator
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from guestnet.compile import bridge
from guestnet.compile.bridgedrift import Link as BridgeLink
from guestnet.decide.facts import HostNic, Neighbour, Route, Uplink
from guestnet.decide.state import Bridge
from guestnet.host import sysctl
from guestnet.words.problems import GuestnetError

_IFF_UP = 1
_NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # linux/neighbour.h: reachable, stale, delay, probe, permanent
_RTPROT_RA = 9  # linux/rtnetlink.h: the route came from a router advertisement
_RT_TABLE_MAIN = 254
_RTM_F_CLONED = 0x200  # a cached copy of another route
_KINDS = {1: "unicast", 2: "local", 6: "blackhole", 7: "unreachable", 8: "prohibit"}  # not 9, throw: it takes nothing
_FR_ACT_TO_TBL, _FIB_RULE_INVERT = 1, 2  # linux/fib_rules.h
_NO_CONDITION = {"FRA_TABLE", "FRA_PRIORITY", "FRA_PROTOCOL", "FRA_SUPPRESS_PREFIXLEN", "FRA_SUPPRESS_IFGROUP"}
_IFA_F_FADING = 0x08 | 0x20  # linux/if_addr.h: IFA_F_DADFAILED, IFA_F_DEPRECATED
_IFA_F_PERMANENT = 0x80  # linux/if_addr.h: without it an address has a lifetime, from an advertisement or DHCPv6


@contextlib.contextmanager
def asking() -> Iterator[IPRoute]:
    """The kernel, to be asked. Raises GuestnetError when it can't be, or says no."""
    try:
        with IPRoute() as netlink:
            yield netlink
    except (OSError, NetlinkError) as error:
        said = os.strerror(error.code) if isinstance(error, NetlinkError) else error.strerror
        raise GuestnetError(f"links, addresses or routes can't be read from the kernel: {said}", "try again") from error


def links() -> dict[int, str]:
    """Interface index -> name."""
    with asking() as netlink:
        return {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}


def nics() -> tuple[HostNic, ...]:
    """All links."""
    with asking() as netlink:
        found = list(netlink.get_links())
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in found}
    return tuple(
        HostNic(
            name=link.get_attr("IFLA_IFNAME"),
            kind=_kind(link),
            master=names.get(link.get_attr("IFLA_MASTER"), ""),
            ours=str(link.get_attr("IFLA_IFALIAS") or "").startswith(bridge.MARK),
            up=_up(link),
            wireless=Path(f"/sys/class/net/{link.get_attr('IFLA_IFNAME')}/phy80211").exists(),
        )
        for link in found
    )


def _kind(link: Any) -> str:
    info = link.get_attr("IFLA_LINKINFO")
    return str(info.get_attr("IFLA_INFO_KIND") or "") if info else ""


def _up(link: Any) -> bool:
    return bool(link["flags"] & _IFF_UP)


def our_bridges() -> dict[str, Bridge]:
    """The bridges that carry our mark, each with its NIC as long as that is plugged in ("" when it is not)."""
    with asking() as netlink:
        links = list(netlink.get_links())
    found = {}
    for link in links:
        alias = str(link.get_attr("IFLA_IFALIAS") or "")
        if not alias.startswith(bridge.MARK) or _kind(link) != "bridge":
            continue
        ports = {
            port.get_attr("IFLA_IFNAME"): _up(port) for port in links if port.get_attr("IFLA_MASTER") == link["index"]
        }
        port, mtu = alias.removeprefix(bridge.MARK), link.get_attr("IFLA_MTU")
        stp = link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA").get_attr("IFLA_BR_STP_STATE")
        found[link.get_attr("IFLA_IFNAME")] = Bridge(
            port if port in ports else "",
            link.get_attr("IFLA_ADDRESS"),
            bool(stp),
            None if mtu == bridge.USUAL_MTU else mtu,
            _up(link) and ports.get(port, True),
        )
    return found


def bridge_links(names: Container[str], isolated: Container[str]) -> dict[str, BridgeLink]:
    """The bridges of these names as they are. `isolated`: the ports that are to be so."""
    with asking() as netlink:
        links, given = list(netlink.get_links()), list(netlink.get_addr())
    found = {}
    for link in links:
        if link.get_attr("IFLA_IFNAME") not in names or _kind(link) != "bridge":
            continue
        index = link["index"]
        ports = [port for port in links if port.get_attr("IFLA_MASTER") == index]
        loose = [
            port.get_attr("IFLA_IFNAME")
            for port in ports
            if port.get_attr("IFLA_IFNAME") in isolated and not _is_isolated(port)
        ]
        found[link.get_attr("IFLA_IFNAME")] = BridgeLink(
            mac=link.get_attr("IFLA_ADDRESS"),
            mtu=link.get_attr("IFLA_MTU"),
            stp=bool(link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA").get_attr("IFLA_BR_STP_STATE")),
            up=_up(link),
            addresses=tuple(sorted(_kept(one) for one in given if one["index"] == index and _kept(one))),
            loose=tuple(sorted(loose)),
        )
    return found


def _is_isolated(port: Any) -> bool:
    info = port.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    return bool(data and data.get_attr("IFLA_BRPORT_ISOLATED"))


def _kept(address: Any) -> str:
    """An address with its prefix length; "" for a link-local one, and one that a router or DHCP gave."""
    text = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
    interface = ipaddress.ip_interface(f"{text}/{address['prefixlen']}")
    flags = address.get_attr("IFA_FLAGS") or address["flags"]
    link_local = isinstance(interface, IPv6Interface) and interface.is_link_local
    return str(interface) if flags & _IFA_F_PERMANENT and not link_local else ""


def masters() -> dict[str, str]:
    """Link -> the bridge (or other master) it is plugged into, for links that are in one."""
    with asking() as netlink:
        found = {link["index"]: link for link in netlink.get_links()}
    names = {index: link.get_attr("IFLA_IFNAME") for index, link in found.items()}
    plugged = {names[index]: link.get_attr("IFLA_MASTER") for index, link in found.items()}
    return {name: names.get(master, "?") for name, master in plugged.items() if master}


def uplinks() -> tuple[Uplink, ...]:
    """The NICs with a default route, and whether the kernel itself takes the IPv6 one from router advertisements."""
    names = links()
    families: dict[str, set[int]] = {}
    learned = set()
    with asking() as netlink:
        for family, number in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            for route in netlink.get_default_routes(family=family, table=_RT_TABLE_MAIN):
                for index in _outputs(route):
                    name = names.get(index, "")
                    families.setdefault(name, set()).add(number)
                    if route["proto"] == _RTPROT_RA and sysctl.read(f"net/ipv6/conf/{name}/accept_ra") != "0":
                        learned.add(name)
    families.pop("", None)
    return tuple(Uplink(name, tuple(sorted(found)), name in learned) for name, found in sorted(families.items()))


def gateways() -> dict[int, tuple[str, ...]]:
    """Family -> the routers of its default routes."""
    found: dict[int, tuple[str, ...]] = {}
    with asking() as netlink:
        for family, number in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            for route in netlink.get_default_routes(family=family, table=_RT_TABLE_MAIN):
                gateway = _gateway(route)
                found[number] = (*found.get(number, ()), *([gateway] if gateway else []))
    return found


def learning() -> tuple[str, ...]:
    """The NICs that have a route or an address from router advertisements which the kernel itself handles.

    With forwarding on and accept_ra 1 the kernel hears no more of them: routes go at once, addresses when they expire.
    """
    names = links()
    found = {uplink.nic for uplink in uplinks() if uplink.kernel_ra}
    with asking() as netlink:
        for address in netlink.get_addr(family=socket.AF_INET6):
            flags = address.get_attr("IFA_FLAGS") or address["flags"]
            name = names.get(address["index"], "")
            global_one = not ipaddress.ip_address(address.get_attr("IFA_ADDRESS")).is_link_local
            if global_one and not flags & _IFA_F_PERMANENT:
                found.add(name)
    takes = {name for name in found if sysctl.read(f"net/ipv6/conf/{name}/accept_ra") not in (None, "0")}
    return tuple(sorted(takes))


def addresses() -> tuple[tuple[str, IPv4Interface | IPv6Interface], ...]:
    """(link, address with its subnet) of every link, in the kernel's order, but loopback and link-local addresses."""
    names = links()
    found = []
    with asking() as netlink:
        for address in netlink.get_addr():
            text = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
            interface = ipaddress.ip_interface(f"{text}/{address['prefixlen']}")
            if not (interface.is_loopback or interface.is_link_local):
                found.append((names.get(address["index"], "?"), interface))
    return tuple(found)


def fading() -> frozenset[IPv6Address]:
    """The host's addresses that nothing new is to use: deprecated, or somebody else's as well."""
    with asking() as netlink:
        found = [(one, one.get_attr("IFA_FLAGS") or one["flags"]) for one in netlink.get_addr(family=socket.AF_INET6)]
    return frozenset(IPv6Address(one.get_attr("IFA_ADDRESS")) for one, flags in found if flags & _IFA_F_FADING)


def neighbours(bridges: Container[str]) -> tuple[Neighbour, ...]:
    """Who answered on these links lately, but by link-local addresses."""
    names = links()
    found = []
    with asking() as netlink:
        for entry in netlink.get_neighbours():
            link, mac = names.get(entry["ifindex"], ""), entry.get_attr("NDA_LLADDR")
            if link in bridges and mac and entry["state"] & _NUD_KNOWN:
                address = ipaddress.ip_address(entry.get_attr("NDA_DST"))
                if not (address.is_link_local or address.is_multicast):
                    found.append(Neighbour(link, mac.lower(), address))
    return tuple(sorted(found, key=lambda one: (one.link, one.address.version, one.address)))


def routes() -> tuple[Route, ...]:
    """The routes of all tables; see Route for those left out, and the host's own single addresses too."""
    names = links()
    single = {interface.ip for _, interface in addresses()}
    found = set()
    with asking() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            first = _asked_before_main(netlink.get_rules(family=family))
            for message in netlink.get_routes(family=family):
                route = _route(message, names, first)
                whole = route is not None and route.subnet.prefixlen == route.subnet.max_prefixlen
                if route and not (route.kind == "local" and whole and route.subnet.network_address in single):
                    found.add(route)
    return tuple(sorted(found, key=str))


def _route(message: Any, names: dict[int, str], first: set[int]) -> Route | None:
    kind, destination = _KINDS.get(message["type"]), message.get_attr("RTA_DST")
    if kind is None or destination is None or message["flags"] & _RTM_F_CLONED:
        return None
    subnet = ipaddress.ip_network((destination, message["dst_len"]))
    if subnet.is_loopback or subnet.is_link_local or subnet.is_multicast:
        return None
    # IPv6 puts blackhole and the like on lo
    link = names.get(next(iter(_outputs(message)), 0), "") if kind == "unicast" else ""
    table = message.get_attr("RTA_TABLE") or message["table"]
    return Route(subnet, kind, link, _gateway(message), table, table in first)


def _gateway(message: Any) -> str:
    """Of several, the first; empty when there is none."""
    hop = next(iter(message.get_attr("RTA_MULTIPATH") or []), message)
    via = hop.get_attr("RTA_VIA") or {}  # a gateway of the other family
    return str(hop.get_attr("RTA_GATEWAY") or via.get("addr", ""))


def _asked_before_main(rules: Any) -> set[int]:
    """The tables that rules without conditions have every packet looked up in before the main one. `local` is one."""
    found: set[int] = set()
    for rule in sorted(rules, key=lambda rule: rule.get_attr("FRA_PRIORITY") or 0):
        conditions = {name for name, _ in rule["attrs"]} - _NO_CONDITION
        selects = conditions or rule["src_len"] or rule["dst_len"] or rule["tos"] or rule["flags"] & _FIB_RULE_INVERT
        table = rule.get_attr("FRA_TABLE") or rule["table"]
        if selects or rule["action"] != _FR_ACT_TO_TBL:
            continue
        if table == _RT_TABLE_MAIN:
            break
        found.add(table)
    return found


def _outputs(route: Any) -> list[int]:
    """Interface indices of a route, one or several (multipath)."""
    single = route.get_attr("RTA_OIF")
    several = route.get_attr("RTA_MULTIPATH") or []
    return [single] if single else [hop["oif"] for hop in several]
