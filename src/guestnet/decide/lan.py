"""What is promised to guests on the LAN: as far as this host decides it, and `lan` where only the LAN does. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from guestnet.decide.facts import Facts
from guestnet.spec.choose import overlaps
from guestnet.spec.world import Lan, World
from guestnet.words.families import IPV4

Said = tuple[Literal["yes", "no", "lan"], str]
Address = IPv4Interface | IPv6Interface

_REFLECTED = "vepa: if the switch sends it back (802.1Qbg)"
ADVICE = "give the guests a second NIC in a nat or isolated network, or use mode bridge"
_NO_DEVICE = "each guest has a device of its own, and there is none for an end to measure with"


def beyond(lan: Lan) -> Said:
    """With everything behind the LAN's router, both ways."""
    return "lan", f"as the LAN over {lan.place}"


def among(lan: Lan) -> Said:
    """One guest with another of the same network."""
    if lan.mode == "passthrough":
        return "lan", "each has a device of its own: as the LAN passes it"
    if lan.guest_isolation:
        return "no", "guest_isolation: their bridge ports are isolated"
    if lan.mode == "bridge":
        return "yes", "one bridge"
    match lan.macvtap:
        case "bridge":
            return "yes", f"one macvtap bridge on {lan.interface}"
        case "vepa":
            return "lan", _REFLECTED
        case "private":
            return "no", "private: macvtaps hear nothing of each other"


def with_host(lan: Lan, facts: Facts, family: int) -> Said:
    """Guests with the host, both ways."""
    if lan.mode == "passthrough":
        return "lan", "if a NIC of the host is on that LAN"
    own = next(_own(lan, facts, family), None)
    if own is None:
        return "lan", f"the host has no IPv{family} address on {lan.place}: if another NIC of it is on that LAN"
    if lan.mode == "bridge":
        return "yes", f"the host has {own.ip} on {lan.bridge}"
    return _past_the_kernel(lan, own, facts)


def _past_the_kernel(lan: Lan, own: Address, facts: Facts) -> Said:
    """Between a NIC's own address and its macvtaps."""
    if lan.macvtap == "vepa":
        # The kernel gives what comes in from the wire to whom it is for, the NIC itself or its macvtaps (macvlan.c).
        return "lan", _REFLECTED
    beside = next(_beside(lan, own, facts), "")
    if beside:
        return "lan", f"{beside} is in {own.network} too, and may answer for the host"
    return "no", f"the kernel passes nothing between {lan.interface} and its macvtaps (macvlan)"


def hosts_address(lan: Lan, facts: Facts, family: int, near: Address | None) -> str | None:
    """Which of the host's addresses stands for it, to guests there. near: an address of a guest of theirs."""
    own = [address for _, address in facts.addresses if address.version == family]
    nics = [uplink.nic for uplink in facts.uplinks if family in uplink.families]
    ways = (
        [address for address in _own(lan, facts, family) if near is None or near in address.network],
        list(_own(lan, facts, family)),
        [address for address in own if near is not None and near in address.network],
        [address for link, address in facts.addresses if address.version == family and link in nics],
    )
    return next((str(address.ip) for way in ways for address in way), None)


def unfit(lan: Lan, facts: Facts) -> str:
    """Why no end of a measurement can be plugged in; empty when one can."""
    if lan.mode == "passthrough":
        return _NO_DEVICE
    name = lan.bridge or lan.interface or ""
    nic = facts.nic(name)
    what = "bridge" if lan.bridge else "NIC"
    if nic is None:
        return f"there is no {what} {name}"
    return "" if nic.up else f"{name} is down"


def left_out(lan: Lan) -> str:
    """Why it is not measured where nobody asked for that."""
    return _NO_DEVICE if lan.mode == "passthrough" else "on the LAN: --lan measures it too"


def filtered(lan: Lan, facts: Facts, family: int) -> str:
    """What drops all that its guests send over the bridge; empty when nothing is known to."""
    program = "iptables" if family == IPV4 else "ip6tables"
    if not lan.bridge or program not in facts.bridge_filter:
        return ""
    return f"br_netfilter is on and {program}' FORWARD drops what passes {lan.bridge}"


def notes(world: World, facts: Facts) -> Iterator[str]:
    """What of them the reader of a plan should know."""
    for lan in world.lans:
        if lan.mode == "macvtap":
            yield _macvtap(lan, facts)
        for name in (lan.interface, *lan.interfaces) if not lan.bridge else ():
            nic = facts.nic(name)
            if nic is not None and not nic.up:
                yield (
                    f"network {lan.name}: {name} is down, and libvirt does not bring it up: ip link set {name} up, "
                    "and the same in the host's network configuration"
                )
        for program in facts.bridge_filter if lan.bridge else ():
            yield (
                f"network {lan.name}: br_netfilter is on and {program}' FORWARD drops by default, so what its guests "
                f"send over {lan.bridge} is dropped; accept it: {program} -I FORWARD -i {lan.bridge} -o {lan.bridge} "
                "-j ACCEPT, or turn it off: sysctl net.bridge.bridge-nf-call-"
                f"{'ip6tables' if program == 'ip6tables' else 'iptables'}=0"
            )


def _macvtap(lan: Lan, facts: Facts) -> str:
    said = [with_host(lan, facts, family) for family in (4, 6)]
    if any(verdict == "no" for verdict, _ in said):
        return (
            f"network {lan.name}: the kernel passes nothing between the host and its macvtaps on {lan.interface}; "
            f"where guests and host must talk, {ADVICE}"
        )
    return (
        f"network {lan.name}: guests and host talk only over the LAN, where another NIC of the host is on it or the "
        f"switch sends back what comes from {lan.interface}: the kernel passes nothing between a NIC and its macvtaps; "
        f"else {ADVICE}"
    )


def _own(lan: Lan, facts: Facts, family: int) -> Iterator[Address]:
    """The host's addresses on the bridge or NIC itself."""
    place = lan.bridge or lan.interface
    return (address for link, address in facts.addresses if link == place and address.version == family)


def _beside(lan: Lan, own: Address, facts: Facts) -> Iterator[str]:
    """The other links of the host with an address in the same subnet: they may be on that LAN, too."""
    for link, address in facts.addresses:
        if link != lan.interface and overlaps(own.network, (address.network,)):
            yield link


def lacking(family: int, *, address: bool, router: bool) -> str:
    """What an end did not get from the LAN; empty when it got both."""
    if family == IPV4:
        if not address:
            return "the LAN gave no IPv4 address: no DHCP server answered"
        return "" if router else "the LAN's DHCP server named no router"
    if not address and router:
        return "the LAN gave no IPv6 address: a router advertises no prefix to make one of, and DHCPv6 is not asked"
    if not address:
        return "the LAN gave no IPv6 address: no router advertised a prefix"
    return "" if router else "no router of the LAN advertises itself for IPv6"
