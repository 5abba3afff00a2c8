"""A libvirt network that is not ours, or is not to be any longer, as decisions look at it. Pure: from its XML."""

from __future__ import annotations

from guestnet.compile import netmerge, netxml
from guestnet.decide.facts import ForeignNetwork
from guestnet.words import xmltext
from guestnet.words.xmladdress import xml_interface

_FORWARDING = ("nat", "route", "open")  # the modes for which libvirt makes the host a router


def foreign(name: str, xml: str, *, running: bool, autostart: bool) -> ForeignNetwork:
    """`xml`: the definition that runs, else the stored one."""
    root = xmltext.parse(xml)
    bridge, forward = root.find("bridge"), root.find("forward")
    mode = forward.get("mode", "nat") if forward is not None else ""
    return ForeignNetwork(
        name=name,
        bridge=bridge.get("name", "") if bridge is not None else "",
        makes_bridge=bool(netxml.own_bridge(xml)),
        forwards=running and mode in _FORWARDING,
        running=running,
        autostart=autostart,
        subnets=tuple(xml_interface(part.attrib).network for part in root.iterfind("*") if part.tag in ("ip", "route")),
        reads_ours=running and netmerge.hosts_dir(xml),
    )
