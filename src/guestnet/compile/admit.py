"""Rules of ours in nft chains of others that would drop our packets otherwise. Text, pure.

An accept ends only the base chain that it stands in, so each chain that drops needs its own. Their number is fixed: it
does not grow with forwards or guests. Ours are told by their comment, and stand on top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from guestnet.compile import nft
from guestnet.compile.chains import MARK
from guestnet.spec.world import World

COMMENT = 'comment "guestnet"'
COMMENTED = "-m comment --comment guestnet "  # in iptables' rules, as it prints it
PROGRAMS = {"iptables": 4, "ip6tables": 6}
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)  # as nft takes it without quotes


class Place(NamedTuple):
    """A chain of others."""

    family: str
    table: str
    chain: str

    @property
    def name(self) -> str:
        """`inet filter forward`, as nft's commands have it."""
        return " ".join(self)

    @property
    def sound(self) -> bool:
        """Whether nft takes its name as it is."""
        return all(_NAME.fullmatch(part) for part in (self.table, self.chain))


# libvirt's nftables backend (>= 10.4) rejects new inbound connections in chains that are jumped to from these. Its own
# rules let guests out of these, which does not count in FORWARD of iptables: see `ways_out`.
LIBVIRT = tuple(Place(family, "libvirt_network", "forward") for family in ("ip", "ip6"))
_SERVICES = "{ 53, 67, 547 }"  # DNS, DHCP
_NEIGHBOURS = "nd-neighbor-solicit, nd-neighbor-advert"
_MLD = "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report"


def place(name: str) -> Place | None:
    """From `Place.name`; None when it is none."""
    words = name.split(" ")
    found = Place(*words) if len(words) == 3 else None  # noqa: PLR2004  family, table, chain
    return found if found and found.sound else None


def translated() -> str:
    """Admits the connections that we translate, both ways. It asks for both, as iptables' rule does."""
    return f"ct status dnat ct mark and {MARK:#x} == {MARK:#x} accept {COMMENT}"


def entered(world: World, version: int) -> frozenset[str]:
    """The bridges that new connections of a family (4 or 6) from outside may go to, untranslated: where the file says
    inbound: open, and where a forward opens its port at its guest's own global address."""
    opening = {
        forward.network
        for guest in world.guests
        for forward in guest.forwards
        if forward.opens and forward.target.version == version
    }
    return frozenset(network.bridge for network in world.networks if version in network.open or network.name in opening)


def rules(family: str, hook: str, world: World) -> tuple[str, ...]:
    """For a chain of policy drop at the hook forward, input or output; from the top on. Families: ip, ip6, inet.

    What guests may reach is not decided here: drops of our own table always work.
    """
    bridges = f"{{ {', '.join(nft.quoted(network.bridge) for network in world.networks)} }}"
    versions = {"ip": (4,), "ip6": (6,)}.get(family, (4, 6))
    reachable = ", ".join(nft.quoted(one) for one in sorted(set().union(*(entered(world, n) for n in versions))))
    found = {
        "forward": [
            translated(),
            f"iifname {bridges} accept {COMMENT}",
            f"oifname {bridges} ct state established,related accept {COMMENT}",
            # New ones from outside; our own table rejects the other family's, and what no forward opens.
            *([f"oifname {{ {reachable} }} accept {COMMENT}"] if reachable else []),
        ],
        "input": [
            f"iifname {bridges} meta l4proto {{ tcp, udp }} th dport {_SERVICES} accept {COMMENT}",
            f"iifname {bridges} icmpv6 type {{ nd-router-solicit, {_NEIGHBOURS}, {_MLD} }} accept {COMMENT}",
        ],
        # An answer to a client that has no address yet belongs to no connection.
        "output": [
            f"oifname {bridges} meta l4proto {{ tcp, udp }} th sport {_SERVICES} accept {COMMENT}",
            f"oifname {bridges} icmpv6 type {{ nd-router-advert, {_NEIGHBOURS}, {_MLD} }} accept {COMMENT}",
        ],
    }[hook]
    return tuple(rule for rule in found if family != "ip" or "icmpv6" not in rule)


def ways_out(program: str, world: World) -> tuple[str, ...]:
    """For FORWARD of iptables or ip6tables where it drops by policy (docker, ufw) and libvirt has its nftables backend:
    what its iptables backend puts there by itself. In the order from the top, as `-S` prints them without our comment.

    Drops and rejects of our own table, and those in libvirt's, always work: nothing that the file forbids passes.
    """
    version = PROGRAMS[program]
    found: list[str] = []
    for network in world.networks:
        bridge = network.bridge
        if version not in {side.host.version for side in network.sides}:
            continue
        if network.mode == "isolated":
            # Between its own guests: with br_netfilter FORWARD judges them, too.
            found.append(f"-i {bridge} -o {bridge} -j ACCEPT")
            continue
        answers = "" if bridge in entered(world, version) else "-m conntrack --ctstate RELATED,ESTABLISHED "
        found += [f"-i {bridge} -j ACCEPT", f"-o {bridge} {answers}-j ACCEPT"]
    return tuple(found)


def commands(where: Place, wanted: Iterable[str]) -> list[str]:
    """What puts rules on top of a chain, in the order to say it."""
    return [f"insert rule {where.name} {rule}" for rule in reversed(tuple(wanted))]


def hook_file(found: Mapping[str, tuple[str, ...]]) -> str:
    """What the hook restores where the chain is there: a line a rule, with the chain's name (or the program of
    iptables) and a tab before it."""
    return "".join(f"{name}\t{rule}\n" for name, those in found.items() for rule in those)
