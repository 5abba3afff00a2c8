"""A libvirt network that somebody else made and guestnet took over (`adopt`): what the file says goes over its XML, and
what the file can't say stays as it was found. Pure: canonical XML in and out.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Collection

from guestnet.compile.dhcp import FOLDERS
from guestnet.compile.netxml import DNSMASQ, MARK, canonical, text_of
from guestnet.words import xmltext
from guestnet.words.xmladdress import xml_interface

_MARK = f"{{{MARK}}}network"
_OPTIONS, _OPTION = f"{{{DNSMASQ}}}options", f"{{{DNSMASQ}}}option"
_HOSTS_DIR = f"dhcp-hostsdir={FOLDERS}"
_WHOLE = ("mac", "mtu", "bandwidth")  # the file says all of it, or that there is none


def adopted(xml: str) -> bool:
    """Whether it carries the mark of a network that was there before guestnet."""
    mark = xmltext.parse(xml).find(f"metadata/{_MARK}") if xml else None
    return mark is not None and mark.get("adopted") == "yes"


def hosts_dir(xml: str) -> bool:
    """Whether its dnsmasq reads our reservations."""
    root = xmltext.parse(xml)
    return any(option.get("value", "").startswith(_HOSTS_DIR) for option in root.iter(_OPTION))


def released(xml: str) -> str:
    """Without our mark, and without our reservations."""
    root = xmltext.parse(xml)
    for metadata in root.findall("metadata"):
        _drop(metadata, _MARK)
        _drop_empty(root, metadata)
    for options in root.findall(_OPTIONS):
        _drop(options, _OPTION, start=_HOSTS_DIR)
        _drop_empty(root, options)
    return canonical(text_of(root))


def merged(found: str, ours: str, macs: Collection[str]) -> str:
    """`found` with everything in it that the file says as `ours` has it. `macs`: of guests whose addresses are in the
    file; reservations of theirs in the XML would stand against those."""
    root, wanted = xmltext.parse(found), xmltext.parse(ours)
    _forward(root, wanted)
    _attributes(root, wanted, "port", {"isolated"})
    _attributes(
        root, wanted, "bridge", {"name"} if wanted.find("forward[@mode='bridge']") is not None else {"name", "stp"}
    )
    _attributes(root, wanted, "domain", {"name"})
    for tag in _WHOLE:
        if tag != "mac" or wanted.find(tag) is not None:
            _replace(root, wanted, tag)
    _dns(root, wanted)
    for family in (4, 6):
        _ip(root, wanted, family, macs)
    _routes(root, wanted)
    for parent, tag in (("metadata", _MARK), (_OPTIONS, _OPTION)):
        there = root.find(parent)
        there = ET.SubElement(root, parent) if there is None else there
        _drop(there, tag, start=_HOSTS_DIR if tag == _OPTION else "")
        there.extend(copy.deepcopy(element) for element in wanted.findall(f"{parent}/{tag}"))
        _drop_empty(root, there)
    for mark in root.findall(f"metadata/{_MARK}"):
        mark.set("adopted", "yes")
    return canonical(text_of(root))


def _forward(root: ET.Element, wanted: ET.Element) -> None:
    """The file says it all but a range of the host's own addresses for NAT, and drivers."""
    before, after = root.find("forward"), wanted.find("forward")
    _replace(root, wanted, "forward")
    if before is None or after is None or before.get("mode", "nat") != after.get("mode"):
        return
    now = root.find("forward")
    for address in before.findall("nat/address") if now is not None else ():
        nat = now.find("nat") if now is not None else None
        nat = ET.SubElement(now, "nat") if nat is None and now is not None else nat
        if nat is not None:
            nat.append(address)
    if now is not None:
        now.extend(before.findall("driver"))


def _attributes(root: ET.Element, wanted: ET.Element, tag: str, said: set[str]) -> None:
    """An element of which the file says these attributes; it goes when nothing is left of it."""
    there, ours = root.find(tag), wanted.find(tag)
    if there is None:
        _replace(root, wanted, tag)
        return
    for name in said:
        there.attrib.pop(name, None)
        if ours is not None and name in ours.attrib:
            there.set(name, ours.get(name, ""))
    if not there.attrib or (ours is None and tag == "domain"):
        root.remove(there)


def _dns(root: ET.Element, wanted: ET.Element) -> None:
    ours = wanted.find("dns")
    if ours is not None and ours.get("enable") == "no":
        _replace(root, wanted, "dns")
        return
    there = root.find("dns")
    there = ET.SubElement(root, "dns") if there is None else there
    for element in there.findall("host") + there.findall("forwarder"):
        if element.tag == "host" or set(element.attrib) == {"addr"}:  # one for a domain only is not in the file
            there.remove(element)
    there.extend([] if ours is None else ours)
    _drop_empty(root, there)


def _ip(root: ET.Element, wanted: ET.Element, family: int, macs: Collection[str]) -> None:
    """The file says the first address of a family, and one range; of several, the others stay as long as the one that
    the file says is among them."""
    there = next((ip for ip in root.findall("ip") if xml_interface(ip.attrib).version == family), None)
    ours = next((ip for ip in wanted.findall("ip") if xml_interface(ip.attrib).version == family), None)
    if there is None or ours is None:
        for element, act in ((there, root.remove), (ours, root.append)):
            if element is not None:
                act(element)
        return
    if xml_interface(there.attrib) != xml_interface(ours.attrib):
        for name in ("address", "netmask", "prefix", "family"):
            there.attrib.pop(name, None)
        there.attrib.update(ours.attrib)
    dhcp, wanted_dhcp = there.find("dhcp"), ours.find("dhcp")
    dhcp = ET.SubElement(there, "dhcp") if dhcp is None else dhcp
    said = {_ends(one) for one in ours.iterfind("dhcp/range")}
    ranges = dhcp.findall("range")
    several = len(ranges) > 1 and any(_ends(one) in said for one in ranges)
    for element in ranges:
        if _ends(element) in said or not several:
            dhcp.remove(element)
    for host in dhcp.findall("host"):
        if host.get("mac", "").lower() in macs:
            dhcp.remove(host)
    dhcp.extend([] if wanted_dhcp is None else wanted_dhcp)
    _drop_empty(there, dhcp)


def _ends(element: ET.Element) -> tuple[str, str]:
    return element.get("start", ""), element.get("end", "")


def _routes(root: ET.Element, wanted: ET.Element) -> None:
    there = {_route(route): route for route in root.findall("route")}
    ours = {_route(route): route for route in wanted.findall("route")}
    for key, route in there.items():
        if key not in ours:
            root.remove(route)
    root.extend(route for key, route in ours.items() if key not in there)


def _route(route: ET.Element) -> tuple[str, str]:
    return str(xml_interface(route.attrib).network), route.get("gateway", "")


def _replace(root: ET.Element, wanted: ET.Element, tag: str) -> None:
    for element in root.findall(tag):
        root.remove(element)
    root.extend(copy.deepcopy(element) for element in wanted.findall(tag))


def _drop(parent: ET.Element, tag: str, start: str = "") -> None:
    for element in parent.findall(tag):
        if element.get("value", "").startswith(start):
            parent.remove(element)


def _drop_empty(parent: ET.Element, element: ET.Element) -> None:
    if not len(element) and not element.attrib:
        parent.remove(element)
