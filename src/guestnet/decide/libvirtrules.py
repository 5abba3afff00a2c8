"""What is missing of libvirt's own firewall rules for a network that runs, as when somebody has flushed its chains.

libvirt writes them when it starts the network, and for all networks when it starts itself; it does not look at them
again. They are not understood: that a chain has, for the network's bridge or subnet, a rule that ends in what one of
libvirt's there does, is all that is asked (libvirt 9.0 and 11.3: network_iptables.c, network_nftables.c). Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from guestnet.compile import netxml
from guestnet.words import xmltext
from guestnet.words.families import IPV4, IPV6
from guestnet.words.xmladdress import xml_interface


class Chain(NamedTuple):
    """One of libvirt's. owner: `iptables`, `ip6tables`, `ip libvirt_network`, `ip6 libvirt_network`."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} of {self.owner}"


class _Rule(NamedTuple):
    """What must be there: a rule in `chain` that has the word `about` and one of `does`."""

    chain: str
    about: str
    does: frozenset[str]


Rules = Mapping[Chain, tuple[str, ...]]
_IPTABLES = {IPV4: "iptables", IPV6: "ip6tables"}
_NFTABLES = {IPV4: "ip libvirt_network", IPV6: "ip6 libvirt_network"}
_CROSS, _IN, _OUT, _NAT = "LIBVIRT_FWX", "LIBVIRT_FWI", "LIBVIRT_FWO", "LIBVIRT_PRT"
# Their names with nftables, which has none for what comes to the host or goes from it.
_IN_NFTABLES = {_CROSS: "guest_cross", _IN: "guest_input", _OUT: "guest_output", _NAT: "guest_nat"}
_ACCEPT, _REJECT, _NATS = frozenset({"accept"}), frozenset({"reject"}), frozenset({"masquerade", "snat"})
_MODES = ("", "nat", "route")  # of those that libvirt writes rules for


def lacking(networks: Mapping[str, str], rules: Rules) -> str:
    """The chains that lack rules, with the networks whose, in words; "" when none does. networks: by name the XML of
    those that run; rules: what is in libvirt's chains now, a rule a line, as iptables -S or nft prints it."""
    found: dict[Chain, list[str]] = defaultdict(list)
    for name, xml in networks.items():
        for chain in _lacking(xml, rules):
            found[chain].append(name)
    return ", ".join(f"{chain} (network {', '.join(names)})" for chain, names in found.items())


def _lacking(xml: str, rules: Rules) -> Iterator[Chain]:
    for family in (IPV4, IPV6):
        backend = _backend(family, rules)
        missing = [one.chain for one in _wanted(xml, family) if not _there(one, rules.get(backend(one.chain), ()))]
        yield from map(backend, dict.fromkeys(name for name in missing if backend(name).name))


def _backend(family: int, rules: Rules) -> Callable[[str], Chain]:
    """From the name of a chain in iptables to the chain. After a change of libvirt's backend the other's may be there
    still, and empty."""
    nftables = [chain for chain in rules if chain.owner == _NFTABLES[family] and chain.name in _IN_NFTABLES.values()]
    if any(rules[chain] for chain in nftables) or (nftables and Chain(_IPTABLES[family], _IN) not in rules):
        return lambda name: Chain(_NFTABLES[family], _IN_NFTABLES.get(name, ""))
    return lambda name: Chain(_IPTABLES[family], name)


def _there(wanted: _Rule, rules: tuple[str, ...]) -> bool:
    words = [set(rule.lower().replace('"', "").split()) for rule in rules]
    return any(wanted.about.lower() in rule and rule & wanted.does for rule in words)


def _wanted(xml: str, family: int) -> Iterator[_Rule]:
    """What must be there, by the chain's name in iptables. Of a family without an address nobody needs it."""
    root, bridge = xmltext.parse(xml), netxml.own_bridge(xml)
    sides = [ip for ip in root.findall("ip") if xml_interface(ip.attrib).version == family]
    forward = root.find("forward")
    mode = "" if forward is None else forward.get("mode", "nat")
    if not bridge or not sides or mode not in _MODES:
        return
    yield _Rule(_CROSS, bridge, _ACCEPT)
    for chain in (_IN, _OUT):
        yield _Rule(chain, bridge, _REJECT)
        if mode:
            yield _Rule(chain, bridge, _ACCEPT)
    if mode == "nat" and (family == IPV4 or root.find("forward/nat[@ipv6='yes']") is not None):
        yield from (_Rule(_NAT, str(xml_interface(ip.attrib).network), _NATS) for ip in sides)
    if any(ip.find("dhcp") is not None for ip in sides):
        yield from (_Rule(chain, bridge, _ACCEPT) for chain in ("LIBVIRT_INP", "LIBVIRT_OUT"))
