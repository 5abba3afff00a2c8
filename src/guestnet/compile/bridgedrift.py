"""What somebody changed by hand about the bridge of a network that runs, and what mends that. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from guestnet.words import xmltext
from guestnet.words.xmladdress import xml_interface

GONE, DNSMASQ = "its bridge is gone", "its dnsmasq does not run"
DNSMASQ_ALONE = "its dnsmasq does not run, and starts with the network only"  # libvirt updates no names without DNS
RESTARTS = frozenset({GONE, DNSMASQ_ALONE})


@dataclass(frozen=True)
class Link:
    """A bridge as it is. `addresses`: with their prefix lengths, those that no router gave and that are not link-local.
    `loose`: ports that reach other isolated ones."""

    mac: str
    mtu: int
    stp: bool
    up: bool
    addresses: tuple[str, ...]
    loose: tuple[str, ...] = ()


class Difference(NamedTuple):
    """In words, and a line for `ip -batch` that mends it."""

    what: str
    line: str


def differences(xml: str, link: Link) -> tuple[Difference, ...]:
    """xml: of the network as libvirt runs it, one that has its own bridge."""
    root = xmltext.parse(xml)
    bridge, mac, mtu = root.find("bridge"), root.find("mac"), root.find("mtu")
    name = "" if bridge is None else bridge.get("name", "")
    wanted = {str(xml_interface(ip.attrib)) for ip in root.findall("ip")}
    found = [
        Difference(f"{name} has {one}, which is not of the network", f"address delete {one} dev {name}")
        for one in link.addresses
        if one not in wanted
    ]
    for one in sorted(wanted - set(link.addresses)):
        nodad = " nodad" if ":" in one else " broadcast +"
        found.append(Difference(f"{name} has lost {one}", f"address add {one}{nodad} dev {name}"))
    own = link.mac if mac is None else mac.get("address", "").lower()
    if own != link.mac:
        found.append(Difference(f"{name} has MAC {link.mac}, not {own}", f"link set {name} address {own}"))
    size = mtu.get("size", "") if mtu is not None else ""
    if size and int(size) != link.mtu:
        found.append(Difference(f"{name} has MTU {link.mtu}, not {size}", f"link set {name} mtu {size}"))
    if bridge is not None and (bridge.get("stp") != "off") != link.stp:
        state = int(not link.stp)
        line = f"link set {name} type bridge stp_state {state}"
        found.append(Difference(f"{name} {'speaks' if link.stp else 'does not speak'} STP", line))
    if not link.up:
        found.append(Difference(f"{name} is down", f"link set {name} up"))
    found += [
        Difference(f"{port} is not kept from other guests", f"link set {port} type bridge_slave isolated on")
        for port in link.loose
    ]
    # The address comes back behind what makes the link anew: a link that goes down loses IPv6 ones.
    return tuple(sorted(found, key=lambda one: one.line.startswith("address add")))


def without_dnsmasq(xml: str) -> str:
    """What it is that a network lacks whose dnsmasq does not run; "" where libvirt runs none: for DNS, DHCP or router
    advertisements."""
    root = xmltext.parse(xml)
    if root.find("ip") is None:
        return ""
    if root.find("dns[@enable='no']") is None:
        return DNSMASQ
    return DNSMASQ_ALONE if root.find("ip/dhcp") is not None or root.find("ip[@family='ipv6']") is not None else ""
