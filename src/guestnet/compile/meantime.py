"""The rules that stand while libvirt takes its own out and puts them in again: at a restart of a network, and at each
change of its DHCP ranges. Pure; network XML in, nft's text out.

libvirt does that one rule after the other, each by a run of iptables: 0.3 to 1 s in all (libvirt 9.0). Without more,
new connections of guests would leave un-NATed, with addresses that nobody outside knows, and some would be refused.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import NamedTuple

from guestnet.compile import nft
from guestnet.compile.chains import FAMILIES
from guestnet.spec.world import Subnet
from guestnet.words import xmltext
from guestnet.words.families import IPV4, IPV6
from guestnet.words.xmladdress import xml_interface

TABLE = "inet guestnet_meantime"
_MODES = ("nat", "route")  # those to which libvirt gives rules, and a way out


class _Network(NamedTuple):
    bridge: str
    subnets: tuple[Subnet, ...]
    nat: tuple[tuple[int, str], ...]  # family and what becomes of its sources, as nft says it


def table(xmls: Iterable[str]) -> str:
    """For a network as it is and as it will be, in one line; "" when it has nothing to lose."""
    networks = [found for found in (_network(xmltext.parse(xml)) for xml in dict.fromkeys(xmls)) if found]
    if not networks:
        return ""
    bridges = f"{{ {', '.join(dict.fromkeys(network.bridge for network in networks))} }}"
    post, forward = list[str](), list[str]()
    for family, (ip, _) in FAMILIES.items():
        found = [net for network in networks for net in network.subnets if net.version == family]
        if not found:
            continue
        those = f"{{ {', '.join(map(str, dict.fromkeys(found)))} }}"
        acts = dict.fromkeys(act for network in networks for of, act in network.nat if of == family)
        post += [f"oifname != lo oifname != {bridges} {ip} saddr {those} {act}" for act in acts]
        # The bridge is gone for a moment, and the way to its guests would be the default route.
        forward.append(f"{ip} daddr {those} oifname != {bridges} drop")
        forward.append(f"iifname {bridges} oifname != {bridges} {ip} saddr != {those} drop")
    # What libvirt's rules reject before their accepts are there again would be refused to the guest: it may try again.
    silent = [
        f"oifname {bridges} {icmp} type destination-unreachable {icmp} code port-unreachable drop"
        for icmp in ("icmp", "icmpv6")
    ]
    chains = (
        # Behind libvirt's own (srcnat, 100): only what none of those has translated comes here.
        ("postrouting", "nat hook postrouting priority 105", post),
        ("forward", "filter hook forward priority -4", forward),
        ("output", "filter hook output priority 0", silent),
    )
    parts = [f"chain {name} {{ type {hook}; {'; '.join(rules)}; }};" for name, hook, rules in chains if rules]
    # It goes with the process that made it, however that ends (linux/netfilter/nf_tables.h, NFT_TABLE_F_OWNER; 5.12).
    return f"table {TABLE} {{ flags owner; {' '.join(parts)} }}\n"


def _network(root: ET.Element) -> _Network | None:
    """None: libvirt gives it no rules, or no way out."""
    way, bridge = root.find("forward"), root.find("bridge")
    if way is None or bridge is None or way.get("mode", "nat") not in _MODES:
        return None
    subnets = tuple(xml_interface(ip.attrib).network for ip in root.findall("ip"))
    nat = way.find("nat")
    families = [IPV4] if way.get("mode", "nat") == "nat" else []
    if families and nat is not None and nat.get("ipv6") == "yes":
        families.append(IPV6)
    acts = tuple((family, act) for family in families for act in _acts(nat))
    return _Network(nft.quoted(bridge.get("name", "")), subnets, acts)


def _acts(nat: ET.Element | None) -> tuple[str, ...]:
    """What libvirt does, as nft says it; with addresses of its own to choose from: nothing gets out meanwhile."""
    if nat is None:
        return ("masquerade",)
    if nat.find("address") is not None:
        return ("drop",)
    port = nat.find("port")
    if port is None:
        return ("masquerade",)
    return (f"meta l4proto {{ tcp, udp }} masquerade to :{port.get('start')}-{port.get('end')}", "masquerade")
