"""What of a network's change libvirt does while it runs, and what only a restart does. Pure; canonical XML in.

Seen with libvirt 9.0: net-update takes these sections live. Each update of <dhcp> restarts dnsmasq (leases stay) and
has libvirt write the network's own firewall rules anew; names in <dns> cost a SIGHUP, or a restart of dnsmasq.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Literal, NamedTuple

from guestnet.compile.netxml import canonical, text_of
from guestnet.words import xmltext

# Place in the document -> libvirt's VIR_NETWORK_SECTION_...
_SECTIONS = {
    ("dns", "host"): "DNS_HOST",
    ("dns", "txt"): "DNS_TXT",
    ("dns", "srv"): "DNS_SRV",
    ("portgroup",): "PORTGROUP",
    ("ip", "dhcp", "range"): "IP_DHCP_RANGE",
    ("ip", "dhcp", "host"): "IP_DHCP_HOST",
}
RULES_ANEW = {"IP_DHCP_RANGE", "IP_DHCP_HOST"}  # networkUpdate(), bridge_driver.c


class Update(NamedTuple):
    """One net-update: a section, the number of the <ip> it is in (-1: in none), and the element."""

    command: Literal["ADD_LAST", "DELETE"]
    section: str
    parent: int
    xml: str


def live(before: str | None, after: str | None) -> bool:
    """Whether what runs (None: nothing) becomes what shall run without being stopped."""
    return before is None or before == after or (after is not None and updates(before, after) is not None)


def updates(running: str, wanted: str) -> tuple[Update, ...] | None:
    """What makes a running network what is wanted without a restart, in order; None when that needs one."""
    before, after = xmltext.parse(running), xmltext.parse(wanted)
    found: list[Update] = []
    for path, section in _SECTIONS.items():
        was, now = _take(before, path), _take(after, path)
        gone = [Update("DELETE", section, *one) for one in was if one not in now]
        come = [Update("ADD_LAST", section, *one) for one in now if one not in was]
        # A guest must not ask while there is no range; anything else can't be there twice, nor can the same range.
        late = [one for one in gone if section == "IP_DHCP_RANGE" and not _clashes(one, come)]
        found += [*(one for one in gone if one not in late), *come, *late]
    _prune(before)
    _prune(after)
    return tuple(found) if text_of(before) == text_of(after) else None


def reachable(running: str, wanted: str) -> str:
    """As much of `wanted` as the running network can have without a restart; reservations stay as they are, because
    those of ours that take their place need one."""
    now, goal = xmltext.parse(running), xmltext.parse(wanted)
    for tag in ("host", "txt", "srv"):
        _swap(now, goal, "dns", tag)
    _put(now, goal, "portgroup")
    for ip, to in zip(now.findall("ip"), goal.findall("ip"), strict=False):
        if ip.attrib == to.attrib:
            _swap(ip, to, "dhcp", "range")
    _prune(now)
    return canonical(text_of(now))


def _swap(now: ET.Element, goal: ET.Element, parent: str, tag: str) -> None:
    there, wanted = now.find(parent), goal.find(parent)
    if wanted is not None and wanted.find(tag) is not None and there is None:
        there = ET.SubElement(now, parent)
    if there is not None and there.get("enable") != "no":
        _put(there, ET.Element(parent) if wanted is None else wanted, tag)


def _put(now: ET.Element, goal: ET.Element, tag: str) -> None:
    for element in now.findall(tag):
        now.remove(element)
    now.extend(goal.findall(tag))


def _take(root: ET.Element, path: tuple[str, ...]) -> list[tuple[int, str]]:
    """Takes the elements at a place out: (number of their <ip>, text)."""
    found = []
    for number, parent in _parents(root, path):
        for element in parent.findall(path[-1]):
            parent.remove(element)
            element.tail = None
            found.append((number, text_of(element)))
    return found


def _parents(root: ET.Element, path: tuple[str, ...]) -> Iterator[tuple[int, ET.Element]]:
    if path[0] == "ip":
        for number, ip in enumerate(root.findall("ip")):
            yield from ((number, dhcp) for dhcp in ip.findall("dhcp"))
    else:
        yield from ((-1, parent) for parent in (root.findall(path[0]) if len(path) > 1 else [root]))


def _clashes(gone: Update, come: list[Update]) -> bool:
    """Whether the same range comes with something else about it."""
    ends = xmltext.parse(gone.xml).attrib
    return any(one.parent == gone.parent and xmltext.parse(one.xml).attrib == ends for one in come)


def _prune(root: ET.Element) -> None:
    """libvirt leaves these out when nothing is in them."""
    for parent, tag in [(root, "dns"), *((ip, "dhcp") for ip in root.findall("ip"))]:
        for element in parent.findall(tag):
            if not len(element) and not element.attrib:
                parent.remove(element)
