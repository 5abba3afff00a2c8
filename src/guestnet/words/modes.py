"""The modes of a network, and what belongs to each."""

from __future__ import annotations

from typing import Literal, get_args

Virtual = Literal["nat", "isolated", "routed"]
Lan = Literal["bridge", "macvtap", "passthrough"]
Mode = Virtual | Lan

VIRTUAL: tuple[str, ...] = get_args(Virtual)
"""libvirt makes their bridge, and gives out addresses there."""

LAN: tuple[str, ...] = get_args(Lan)
"""Their guests are on the LAN itself, which gives them their addresses."""

MODES: tuple[str, ...] = (*VIRTUAL, *LAN)

_BRIDGE = frozenset({"bridge", "mac", "stp", "mtu", "guest_isolation", "autostart"})
_ADDRESSED = _BRIDGE | {"ipv4", "ipv6", "host_access", "domain", "dns", "routes", "bandwidth"}
_THROUGH = frozenset({"uplink", "inbound", "egress"})

KEYS: dict[str, frozenset[str]] = {
    "nat": _ADDRESSED | _THROUGH | {"nat"},
    "routed": _ADDRESSED | _THROUGH | {"proxy_arp"},
    "isolated": _ADDRESSED,
    "bridge": _BRIDGE | {"interface"},
    "macvtap": frozenset({"interface", "macvtap", "autostart"}),
    "passthrough": frozenset({"pf", "devices", "interfaces", "vlan", "autostart"}),
}
"""The keys of a network that mean something in a mode, besides `mode` itself."""
