"""What no rule shows of a packet's way: forwarding, routes, neighbours, reverse path filter, whose an address is."""

from __future__ import annotations

import json
from ipaddress import ip_address

from guestnet.act.measure import Host
from guestnet.decide.hops import route_text
from guestnet.decide.whereabouts import chosen_for, leased, now
from guestnet.host import probe, sysctl
from guestnet.host.run import ProgramError, run
from guestnet.spec.world import Nic
from guestnet.words.families import IPV4


def route(address: str, source: str, link: str) -> tuple[str, str]:
    """Where the host sends what came from `source` through `link` ("": from itself), as a hop, "" when it has no route
    for anybody; and why the kernel does not route it, "" when it does."""
    family = "-6" if ":" in address else "-4"
    get = ("ip", family, "route", "get", address)
    try:
        return route_text(run(*get, "from", source, "iif", link) if link else run(*get)), ""
    except ProgramError as error:
        refusal = str(error).rpartition(": ")[2].lower()
    try:
        return route_text(run(*get)), refusal
    except ProgramError:
        return "", refusal


def off(family: int, link: str) -> str:
    """The sysctl that keeps the host from forwarding what comes in through `link`; "" when it forwards."""
    keys = ["net/ipv6/conf/all/forwarding"]
    if family == IPV4:
        keys = ["net/ipv4/ip_forward", *([f"net/ipv4/conf/{link}/forwarding"] if link else [])]
    # With slashes, as sysctl takes it too: a NIC's name may have dots.
    found = next((key for key in keys if sysctl.read(key) == "0"), "")
    return found if "." in link else found.replace("/", ".")


def strict(link: str) -> bool:
    """Whether IPv4's reverse path filter drops what is not routed back through `link`: the larger of two counts, and 2
    is loose (ip-sysctl.rst)."""
    found = [sysctl.read(f"net/ipv4/conf/{name}/rp_filter") for name in ("all", link) if name]
    return max((int(one) for one in found if one), default=0) == 1


def neighbour(address: str, host: Host) -> bool:
    """Whether somebody answers for it on the link it is on; true when it is behind a router."""
    family = "-6" if ":" in address else "-4"
    entries = json.loads(run("ip", "-j", family, "neigh", "show", address) or "[]")
    inside = any(
        ip_address(address) in side.host.network
        for network in host.world.networks
        for side in network.sides
        if side.host.version == ip_address(address).version
    )
    return not inside or any(entry.get("lladdr") for entry in entries)


def own(address: str, host: Host) -> bool:
    """Whether it is one of the host's, as it is while ends of ours are there."""
    before = [text.partition("/")[0] for text in (probe.BEFORE4, probe.BEFORE6)]
    return address in before or any(address == str(one.ip) for _, one in host.facts.addresses)


def uplink(host: Host, family: int) -> str | None:
    """An address of the host that the outside knows."""
    nics = [uplink.nic for uplink in host.facts.uplinks if family in uplink.families]
    return next((str(one.ip) for link, one in host.facts.addresses if link in nics and one.version == family), None)


def addresses(host: Host, guest: str, nic: Nic, family: int) -> list[str]:
    """A guest's: what it has now, what it leased, then the one it is to have."""
    found = (now(guest, nic, family, host.facts), *leased(nic, family, host.facts), chosen_for(nic, family))
    return list(dict.fromkeys(str(one) for one in found if one is not None))


def names(host: Host) -> dict[str, str]:
    """Of addresses, for people."""
    found = {str(one.ip): "the host" for _, one in host.facts.addresses}
    for guest in host.world.guests:
        for nic in guest.nics:
            found |= {str(one): guest.name for one in (nic.ipv4, nic.ipv6) if one}
    return found
