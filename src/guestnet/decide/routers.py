"""Who else routes on this host, and needs forwarding still when guestnet no longer does. Pure.

Nobody registers with the kernel that it needs forwarding, so it is told by what only a router has. To leave it on for
nothing is a note; to turn it off under containers or a VPN is their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guestnet.decide.facts import Facts, ForeignNetwork
from guestnet.words.families import IPV4, IPV6

FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
_TUNNELS = {"wireguard": "WireGuard", "tun": "tunnel"}  # kinds of links; a guest's tap is a tun without addresses


def needed(key: str, facts: Facts) -> bool:
    """Whether a sysctl is forwarding, or accept_ra, which goes with it, in a family that somebody else routes in."""
    family = IPV4 if key.startswith("net/ipv4/") else IPV6
    return (key in FORWARDING or key.endswith("/accept_ra")) and bool(others(family, facts))


def others(family: int, facts: Facts) -> tuple[str, ...]:
    """Who routes in a family, in a few words each. docker, podman, LXC and incus have a bridge with an address. One
    that carries a default route is the host's own way out, whatever is plugged into it beside the NIC."""
    networks = (*facts.networks, *facts.leaving)
    libvirts = {network.bridge for network in networks}
    out = {uplink.nic for uplink in facts.uplinks}
    found = [f"network {network.name}" for network in networks if network.forwards and _has(network, family)]
    for name in dict.fromkeys(link for link, subnet in facts.subnets if subnet.version == family):
        nic = facts.nic(name)
        if nic is None or nic.ours or name in libvirts:
            continue
        if nic.kind == "bridge" and name not in out:
            found.append(f"bridge {name}")
        elif nic.kind in _TUNNELS:
            found.append(f"{_TUNNELS[nic.kind]} {name}")
    return (
        *found,
        *(f"a rule in {where} that translates addresses" for of, where in facts.masquerades if of == family),
    )


def notes(keys: Iterable[str], facts: Facts, *, last: bool) -> Iterator[str]:
    """keys: sysctls that would go back, were it not for others. last: guestnet will not be there to do it later."""
    for family, name, key in zip((IPV4, IPV6), ("ip_forward", "conf.all.forwarding"), FORWARDING, strict=True):
        who = others(family, facts)
        if key in keys and who:
            off = f"sysctl -w net.ipv{family}.{name}=0"
            later = (
                f"nothing turns it on at the next boot, unless they do; to turn it off: {off}"
                if last
                else "the first apply after they are gone turns it off"
            )
            yield (
                f"forwarding of IPv{family} was off before guestnet, and stays on: "
                f"{', '.join(who)} {'need' if len(who) > 1 else 'needs'} it; {later}"
            )


def _has(network: ForeignNetwork, family: int) -> bool:
    """Whether it has addresses of a family; nothing is known of one that has none."""
    return not network.subnets or any(subnet.version == family for subnet in network.subnets)
