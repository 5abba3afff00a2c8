"""libvirt's own record of a running guest's NIC in a network (a "network port"), made from the guest's XML.

libvirt forgets these when a network is destroyed, and takes them back as "reclaimed" (virNetworkPortCreateXML with
VIR_NETWORK_PORT_CREATE_RECLAIM, libvirt >= 5.5), as it does itself after its own restart. Nothing happens to the NIC.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from guestnet.words import xmltext

_KEPT = ("virtualport", "bandwidth", "vlan", "port")  # of the NIC, as it is


def port_xml(nic: ET.Element, guest: str, uuid: str) -> tuple[str, str]:
    """(UUID, record) of a NIC, by its <interface> in the running guest's XML; a record that no bridge is named in yet.
    Empty ones for a NIC on no network."""
    source, mac = nic.find("source"), nic.find("mac")
    if source is None or mac is None or "portid" not in source.attrib:
        return "", ""
    root = ET.Element("networkport")
    ET.SubElement(root, "uuid").text = source.get("portid")
    owner = ET.SubElement(root, "owner")
    ET.SubElement(owner, "name").text = guest
    ET.SubElement(owner, "uuid").text = uuid
    if "portgroup" in source.attrib:
        ET.SubElement(root, "group").text = source.get("portgroup")
    ET.SubElement(root, "mac", address=mac.get("address", ""))
    root.extend(part for tag in _KEPT for part in nic.findall(tag))
    return source.get("portid", ""), ET.tostring(root, encoding="unicode")


def isolated(nic: ET.Element) -> bool:
    """Whether the guest's own XML wants it so."""
    port = nic.find("port")
    return port is not None and port.get("isolated") == "yes"


def plugged_into(record: str, bridge: str, *, own: bool) -> str:
    """The record of a NIC that is in this bridge by now. `own`: libvirt made the bridge for the network. Other kinds of
    plugs (macvtap, devices) stay."""
    root = xmltext.parse(record)
    plug = root.find("plug")
    if plug is None:
        plug = ET.SubElement(root, "plug", type="network" if own else "bridge")
    if plug.get("type") in ("network", "bridge"):
        plug.set("bridge", bridge)
    return ET.tostring(root, encoding="unicode")
