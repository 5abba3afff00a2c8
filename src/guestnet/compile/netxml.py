"""Libvirt network XML from the desired world, and the normal form in which two such documents are compared.

Pure: text in, text out. Format: https://libvirt.org/formatnetwork.html
"""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ET
from ipaddress import IPv4Interface, IPv6Interface

from guestnet.compile.dhcp import hosts_folder
from guestnet.spec.world import Lan, Network, Side4, Side6
from guestnet.words import xmltext
from guestnet.words.families import IPV6
from guestnet.words.pci import PARTS, parts

MARK = "urn:guestnet:1"  # namespace of the element in <metadata> that says: this network is ours
DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"

_DECLARED = re.compile(r' xmlns:\w+="[^"]*"')
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600}

ET.register_namespace("dnsmasq", DNSMASQ)
ET.register_namespace("guestnet", MARK)


def network_xml(network: Network) -> str:
    """The document to define `network` with; ends in a newline."""
    root = ET.Element("network")
    ET.SubElement(root, "name").text = network.name
    ET.SubElement(ET.SubElement(root, "metadata"), f"{{{MARK}}}network")
    _forward(root, network)
    if network.guest_isolation:
        ET.SubElement(root, "port", isolated="yes")
    stp = "on" if network.stp else "off"
    ET.SubElement(root, "bridge", name=network.bridge, stp=stp, delay="0")
    # A network defined again without its MAC gets a random one, and guests' neighbour caches go stale.
    ET.SubElement(root, "mac", address=network.mac)
    if network.mtu:
        ET.SubElement(root, "mtu", size=str(network.mtu))
    if network.domain:
        ET.SubElement(root, "domain", name=network.domain, localOnly="yes")
    _dns(root, network)
    if network.bandwidth:
        bandwidth = ET.SubElement(root, "bandwidth")
        for direction, rate in network.bandwidth:
            ET.SubElement(bandwidth, direction, {key: str(value) for key, value in rate})
    for side in network.sides:
        _ip(root, side)
    for to, via in network.routes:
        family = {"family": "ipv6"} if to.version == IPV6 else {}
        place = {"address": str(to.network_address), "prefix": str(to.prefixlen), "gateway": str(via)}
        ET.SubElement(root, "route", family | place)
    if network.sides:
        options = ET.SubElement(root, f"{{{DNSMASQ}}}options")
        ET.SubElement(options, f"{{{DNSMASQ}}}option", value=f"dhcp-hostsdir={hosts_folder(network.name)}")
    return text_of(root)


def lan_xml(lan: Lan) -> str:
    """The document for a network on the LAN: libvirt makes no bridge, no DHCP and no rules there."""
    root = ET.Element("network")
    ET.SubElement(root, "name").text = lan.name
    ET.SubElement(ET.SubElement(root, "metadata"), f"{{{MARK}}}network")
    if lan.bridge:
        ET.SubElement(root, "forward", mode="bridge")
        if lan.guest_isolation:
            ET.SubElement(root, "port", isolated="yes")
        ET.SubElement(root, "bridge", name=lan.bridge)
    elif lan.interface:
        # libvirt's names for the modes of macvtap, but bridge is that of forward too.
        forward = ET.SubElement(root, "forward", dev=lan.interface, mode=lan.macvtap)
        ET.SubElement(forward, "interface", dev=lan.interface)
    else:
        _passthrough(root, lan)
    return text_of(root)


def _passthrough(root: ET.Element, lan: Lan) -> None:
    """Each guest gets the next of these that is free. managed: libvirt takes a device from its driver, and gives it
    back."""
    if lan.interfaces:
        forward = ET.SubElement(root, "forward", dev=lan.interfaces[0], mode="passthrough")
        for nic in lan.interfaces:
            ET.SubElement(forward, "interface", dev=nic)
    else:
        forward = ET.SubElement(root, "forward", mode="hostdev", managed="yes")
        if lan.pf:
            ET.SubElement(forward, "pf", dev=lan.pf)
        for address in lan.devices:
            place = zip(PARTS, parts(address), strict=True)
            ET.SubElement(forward, "address", {"type": "pci"} | {name: f"0x{digits}" for name, digits in place})
    if lan.vlan is not None:
        ET.SubElement(ET.SubElement(root, "vlan"), "tag", id=str(lan.vlan))


def is_ours(xml: str) -> bool:
    """Whether the network carries our mark in its metadata."""
    return xmltext.parse(xml).find(f"metadata/{{{MARK}}}network") is not None


def unmarked(xml: str) -> str:
    """Without metadata, which say nothing of what the network does."""
    root = xmltext.parse(xml)
    for metadata in root.findall("metadata"):
        root.remove(metadata)
    return text_of(root)


def differences(before: str, after: str) -> list[str]:
    """`- ` or `+ ` and a line of one of two canonical documents, each that the other lacks. Which namespaces the first
    line declares follows from the elements below it, and is not told."""
    old, new = (_DECLARED.sub("", text).splitlines() for text in (before, after))
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
    return [f"{line[0]} {' '.join(line[1:].split())}" for line in lines if not line.startswith("@@")]


def bridge(xml: str) -> str:
    """The name of the network's bridge; empty when it has none."""
    element = xmltext.parse(xml).find("bridge")
    return element.get("name", "") if element is not None else ""


def own_bridge(xml: str) -> str:
    """The name of the bridge that libvirt makes for the network; empty when it makes none."""
    forward = xmltext.parse(xml).find("forward")
    return "" if forward is not None and forward.get("mode") == "bridge" else bridge(xml)


def isolates(xml: str) -> bool:
    """Whether the network keeps its guests from each other."""
    port = xmltext.parse(xml).find("port")
    return port is not None and port.get("isolated") == "yes"


def speaks_stp(xml: str) -> bool:
    """Whether its bridge does; libvirt's do unless told otherwise."""
    element = xmltext.parse(xml).find("bridge")
    return element is not None and element.get("stp") != "off"


def canonical(xml: str) -> str:
    """One spelling for all documents that mean the same network: what libvirt adds by itself is left out.

    - uuid, the `connections` counter: libvirt's bookkeeping, not configuration.
    - <port start='1024' end='65535'/>: libvirt's own default NAT port range.
    - <lease> in minutes or hours: in seconds.
    - <address> beside <pf>: the virtual functions that libvirt found there when it started the network.
    Raises ET.ParseError when it is not XML.
    """
    root = xmltext.parse(xml)
    for element in (root, *root.iter("interface"), *root.iter("pf"), *root.iter("address")):
        element.attrib.pop("connections", None)
    for uuid in root.findall("uuid"):
        root.remove(uuid)
    for lease in root.iter("lease"):
        seconds = int(lease.get("expiry", "0")) * _UNITS[lease.get("unit", "minutes")]
        lease.attrib.update(expiry=str(seconds), unit="seconds")
    for forward in root.findall("forward"):
        _forget(forward)
    for element in root.iter():
        # The order of different elements, and of attributes, says nothing; that of equal ones (ip, route) is kept.
        # Records and ranges have none either, and net-update puts new ones last.
        element[:] = sorted(element, key=lambda inner: (inner.tag, _place(element, inner)))
        attributes = sorted(element.attrib.items())
        element.attrib.clear()
        element.attrib.update(attributes)
    return text_of(root)


def _place(parent: ET.Element, inner: ET.Element) -> str:
    listed = parent.tag in ("dns", "dhcp") and inner.tag in ("host", "txt", "srv", "range")
    return "".join(inner.attrib.get(key, "") for key in ("ip", "mac", "name", "start", "service")) if listed else ""


def _forget(forward: ET.Element) -> None:
    """What libvirt adds inside <forward>."""
    for address in forward.findall("address") if forward.find("pf") is not None else ():
        forward.remove(address)
    for nat in forward.findall("nat"):
        for port in nat.findall("port"):
            if (port.get("start"), port.get("end")) == ("1024", "65535"):
                nat.remove(port)
        if not len(nat) and not nat.attrib:
            forward.remove(nat)


def with_uuid(xml: str, uuid: str) -> str:
    """The same document for a network that exists: libvirt refuses to redefine a name under another UUID."""
    root = xmltext.parse(xml)
    element = ET.Element("uuid")
    element.text = uuid
    root.insert(1, element)
    return text_of(root)


def _forward(root: ET.Element, network: Network) -> None:
    if network.mode == "isolated":
        return  # no <forward>: libvirt's own isolated network
    through = {"dev": network.uplink} if network.uplink else {}
    if network.mode == "routed":
        forward = ET.SubElement(root, "forward", through | {"mode": "route"})
    else:
        forward = ET.SubElement(root, "forward", through | {"mode": "nat"})
    if network.uplink:
        ET.SubElement(forward, "interface", dev=network.uplink)
    nat66 = network.nat6 and network.v6 is not None
    if network.mode == "routed" or (not nat66 and network.nat_ports is None):
        return
    nat = ET.SubElement(forward, "nat", {"ipv6": "yes"} if nat66 else {})
    if network.nat_ports:
        ET.SubElement(nat, "port", start=str(network.nat_ports.first), end=str(network.nat_ports.last))


def _dns(root: ET.Element, network: Network) -> None:
    if network.host_access == "none":
        ET.SubElement(root, "dns", enable="no")  # then DHCP does not name the host as DNS server either
    elif network.forwarders or network.hosts:
        dns = ET.SubElement(root, "dns")
        for server in network.forwarders:
            ET.SubElement(dns, "forwarder", addr=str(server))
        names: dict[str, list[str]] = {}
        for name, address in network.hosts:
            names.setdefault(str(address), []).append(name)
        for ip, listed in names.items():
            host = ET.SubElement(dns, "host", ip=ip)
            for name in listed:
                ET.SubElement(host, "hostname").text = name


def _ip(root: ET.Element, side: Side4 | Side6) -> None:
    match side.host:
        case IPv4Interface() as host:
            ip = ET.SubElement(root, "ip", address=str(host.ip), netmask=str(host.netmask))
        case IPv6Interface() as host:
            ip = ET.SubElement(root, "ip", family="ipv6", address=str(host.ip), prefix=str(host.network.prefixlen))
    if side.pool is None:
        return
    first, last = side.pool
    pool = ET.SubElement(ET.SubElement(ip, "dhcp"), "range", start=str(first), end=str(last))
    if side.lease:
        ET.SubElement(pool, "lease", expiry=str(side.lease), unit="seconds")


def text_of(root: ET.Element) -> str:
    """A document or element of one, laid out; ends in a newline."""
    for element in root.iter():
        # Layout is no content: an <ip> that lost its <dhcp> keeps a line break otherwise.
        element.text = (element.text or "").strip() or None
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"
