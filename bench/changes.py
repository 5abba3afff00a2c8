"""A file that changes at random, for the table `outage`: every kind of change that running guests could notice.

`lab` has the guest web1, `dmz` the guest web2, both running; nobody runs in the other networks. What a guest would
notice by the file's own will is left to those: another subnet, another IPv6 prefix, another mode. `bandwidth` is not
there: libvirt needs the kernel's sfq for it, which not every machine has.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

GUESTS = {"web1": ("lab", 4023), "web2": ("dmz", 4024)}  # network, port of the host


@dataclass
class File:
    """What the file says of what may change."""

    chance: random.Random
    knobs: dict[str, Any] = field(default_factory=dict)
    forwards: dict[int, int] = field(default_factory=dict)  # port of the host -> of web1

    def text(self) -> str:
        get = self.knobs.get
        hosts = ", ".join(f"n{i}.example: 10.0.0.{i}" for i in range(1, 1 + get("dns", 1)))
        more = "".join(f", {port}:{to}" for port, to in sorted(self.forwards.items()))
        local = "{ports: 4025, to: 5001, loopback: true}" if get("loopback") else "4025:5001"
        return f"""
networks:
  lab:
    mode: nat
    bridge: {get("bridge", "virbr91")}
    ipv4: {{address: 10.9.1.1/24, ranges: [10.9.1.{get("range", 100)}-10.9.1.199], lease: {get("lease", 3600)}}}
    ipv6: "fd00:9:0:1::1/64"
    nat: {{ports: {get("ports", 30000)}-60000, ipv6: {_said(get("nat6", True))}}}
    dns: {{hosts: {{{hosts}}}{get("resolvers", "")}}}
    domain: {get("domain", "a")}.internal
    mtu: {get("mtu", 1500)}
    autostart: {_said(get("autostart", True))}
{"    egress: {deny: [private]}" if get("egress") else ""}
  dmz:
    mode: routed
    ipv4: 10.9.2.1/24
    ipv6: "fd00:9:0:2::1/64"
    inbound: {"closed" if get("closed") else "open"}
    stp: {_said(get("stp", True))}
    guest_isolation: {_said(get("isolation", False))}
{get("routes", "")}
  cell: {{mode: isolated, ipv4: 10.9.3.1/24, ipv6: none, host_access: {get("access", "none")}}}
  empty: {{mode: {get("mode", "routed")}, ipv4: 10.9.{get("subnet", 4)}.1/24, ipv6: {get("ipv6", "none")}}}
{"  more: {mode: isolated, ipv4: 10.9.6.1/24, ipv6: none}" if get("more") else ""}
guests:
  web1: {{network: lab, forwards: ["4023:5001/tcp+udp", {local}{more}]}}
  web2: {{network: dmz, forwards: [{{ports: 4024, to: 5001, protocol: tcp+udp{get("from", "")}}}]}}
  off: {{network: lab, mac: '52:54:00:00:77:01', ipv4: 10.9.1.{get("reserved", 50)}}}
{"  other: {network: lab, mac: '52:54:00:00:77:02'}" if get("guest") else ""}
"""


def _said(true: bool) -> str:
    return str(true).lower()


def _turn(name: str, *values: Any) -> Callable[[File], None]:
    """Another of these values than it has now; at first it has the first."""

    def change(file: File) -> None:
        file.knobs[name] = file.chance.choice([one for one in values if one != file.knobs.get(name, values[0])])

    return change


def _forward(file: File) -> None:
    port = 5100 + file.chance.randrange(20)
    if file.forwards.pop(port, None) is None:
        file.forwards[port] = port


def _forward_elsewhere(file: File) -> None:
    """One that is there goes to another port of its guest; the first time there may be none."""
    port = file.chance.choice(sorted(file.forwards) or [5100])
    file.forwards[port] = 5200 if file.forwards.get(port) != 5200 else 5201  # noqa: PLR2004  the other of two


CHANGES: dict[str, Callable[[File], None]] = {
    "a forward more or less": _forward,
    "a forward to another port": _forward_elsewhere,
    "from of a forward": _turn("from", "", ', from: [203.0.113.0/24, "2001:db8::/32"]'),
    "loopback of a forward": _turn("loopback", False, True),
    "reservation": _turn("reserved", 50, 51, 52),
    "DNS names": _turn("dns", 1, 2, 3),
    "DHCP range": _turn("range", 100, 90, 80),
    "lease": _turn("lease", 3600, 7200),
    "egress": _turn("egress", False, True),
    "inbound": _turn("closed", False, True),
    "host_access": _turn("access", "none", "services", "full"),
    "autostart": _turn("autostart", True, False),
    "a network more or less": _turn("more", False, True),
    "a guest more or less": _turn("guest", False, True),
    "subnet of an empty network": _turn("subnet", 4, 5),
    "IPv6 of an empty network": _turn("ipv6", "none", "auto", "{prefix: uplink, ndp_proxy: true}"),
    "mode of an empty network": _turn("mode", "routed", "nat"),
    "ports of NAT": _turn("ports", 30000, 31000),
    "NAT of IPv6": _turn("nat6", True, False),
    "domain": _turn("domain", "a", "b"),
    "DNS forwarders": _turn("resolvers", "", ", forwarders: [203.0.113.1]"),
    "MTU": _turn("mtu", 1500, 1400),
    "bridge": _turn("bridge", "virbr91", "virbr92"),
    "routes": _turn("routes", "", "    routes: [{to: 10.77.0.0/16, via: 10.9.2.77}]"),
    "STP": _turn("stp", True, False),
    "guest_isolation": _turn("isolation", False, True),
}
