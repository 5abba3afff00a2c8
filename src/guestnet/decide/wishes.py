"""Which key of the file wants what a rule stopped. Pure."""

from __future__ import annotations

from guestnet.decide import upstream
from guestnet.decide.trace import Head, Step
from guestnet.spec.world import Lan, Network
from guestnet.words.addresses import parse_ip

Between = tuple[Network | Lan | None, Network | Lan | None]  # the networks of source and target


def denied(between: Between, rule: Step, end: Head) -> str:
    """By a rule of ours for `egress`; `end`: the packet as that rule saw it."""
    source = between[0]
    if "@denied" not in rule.text or not isinstance(source, Network) or not end.target:
        return ""
    what = upstream.denied(source, parse_ip(end.target))
    return f"egress of {source.name} denies {what}" if what else ""


def uplink(between: Between, end: Head) -> str:
    """By libvirt's rules for a network that names one."""
    for network in between:
        if not isinstance(network, Network) or not network.uplink:
            continue
        if end.iif == network.bridge and end.oif != network.uplink:
            return f"{network.name} forwards through {network.uplink} only"
        if end.oif == network.bridge and end.iif != network.uplink:
            return f"{network.name} takes only what comes in through {network.uplink}"
    return ""


def other(between: Between, rule: Step, family: int, *, forwarded: bool) -> str:
    """By the other rules of ours. forwarded: by a port of the host, which a closed network admits."""
    networks = [network for network in between if isinstance(network, Network)]
    if rule.chain == "guarded":
        return next((f"host_access of {one.name} is {one.host_access}" for one in networks if _guarded(one)), "")
    if "@isolated" in rule.text:
        return next((f"{one.name} is of mode isolated" for one in networks if one.mode == "isolated"), "")
    if "@apart" in rule.text:
        return next((f"guest_isolation of {one.name}" for one in networks if one.guest_isolation), "")
    target = between[1]
    if "@closed" in rule.text and isinstance(target, Network) and family not in target.open and not forwarded:
        return f"inbound of {target.name} is closed for IPv{family}"
    return ""


def _guarded(network: Network) -> bool:
    return network.host_access != "full"
