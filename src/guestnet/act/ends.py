"""Ends to measure with inside a network: plugged into its bridge, with addresses that nobody has."""

from __future__ import annotations

import contextlib
import json
import random
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from guestnet.compile import ndp, nft, translation
from guestnet.decide.facts import Facts
from guestnet.decide.upstream import Far
from guestnet.host import lock, neighbours, probe
from guestnet.host.run import run
from guestnet.spec.world import Network, World
from guestnet.words.families import IPV6
from guestnet.words.problems import GuestnetError

_SEVERAL = 12  # candidates for an end's address


@dataclass
class Known:
    """What the guests of a network know, by family: the host's address there, and whom to ask for the internet."""

    host: dict[int, str]
    far: Far
    on_lan: bool = False


@dataclass
class Stage:
    """The ends, by network name, and the ports of the forwards for the measurement.

    gates: the host's addresses that `outside` knows. elsewhere: the machine that `outside` is on, "" for a link of our
    own. without: why a network has no ends. uplinks: of networks, the only NICs that they take connections from.
    known_as: of networks, the first end's IPv6 address outside, where that is one of the uplink's prefix.
    """

    here: probe.End
    outside: probe.End
    guests: dict[str, tuple[probe.End, probe.End]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    gates: dict[int, str] = field(default_factory=dict)
    elsewhere: str = ""
    without: dict[str, str] = field(default_factory=dict)
    uplinks: dict[str, str] = field(default_factory=dict)
    unreached: frozenset[int] = frozenset()  # families that the host has no uplink of: a link of our own would be one
    known_as: dict[str, str] = field(default_factory=dict)


def own(network: Network, family: int) -> str | None:
    """The host's own address in a network."""
    return next((str(side.host.ip) for side in network.sides if side.host.version == family), None)


def plug(
    network: Network, link: str, addresses: list[list[IPv4Interface | IPv6Interface]], todo: contextlib.ExitStack
) -> tuple[probe.End, probe.End]:
    ends = []
    for letter, its in zip("ab", addresses, strict=True):
        families = [one.version for one in its]
        routers = [str(side.host.ip) for side in network.sides if side.host.version in families]
        end = probe.plug(f"{link}{letter}", network.bridge, its, routers, isolated=network.guest_isolation)
        todo.callback(end.close)
        end.listen(list(end.addresses.values()))
        ends.append(end)
    return ends[0], ends[1]


def free(network: Network, world: World, facts: Facts, here: probe.End) -> list[list[IPv4Interface | IPv6Interface]]:
    """Addresses for two ends; fewer where the network is full."""
    taken = {str(nic.ipv4) for guest in world.guests for nic in guest.nics}
    taken |= {str(lease.address) for lease in facts.leases}
    found: list[list[IPv4Interface | IPv6Interface]] = [[], []]
    if network.v4:
        subnet, pool = network.v4.host.network, network.v4.pool
        first, last = int(subnet.network_address) + 1, int(subnet.broadcast_address) - 1
        every = [IPv4Address(number) for number in range(last, max(first, last - 1000) - 1, -1)]
        free = [one for one in every if str(one) not in taken and one != network.v4.host.ip]
        # Outside the DHCP range, if there is room: the server may give an address away meanwhile.
        free.sort(key=lambda one: bool(pool and pool[0] <= one <= pool[1]))
        quiet = _quiet(network, [str(one) for one in free[:_SEVERAL]], here)
        for its, address in zip(found, quiet, strict=False):
            its.append(IPv4Interface(f"{address}/{subnet.prefixlen}"))
    if network.v6:
        subnet6 = network.v6.host.network
        bits = subnet6.max_prefixlen - subnet6.prefixlen
        used = {network.v6.host.ip, *(nic.ipv6 for guest in world.guests for nic in guest.nics)}
        for its in found:
            drawn = (subnet6.network_address + random.SystemRandom().getrandbits(bits - 2) for _ in range(_SEVERAL))
            own6 = next(one for one in drawn if one not in used)
            used.add(own6)
            its.append(IPv6Interface((own6, subnet6.prefixlen)))
    return found


def known_outside(network: Network, stage: Stage, todo: contextlib.ExitStack) -> None:
    """Where guests share the uplink's prefix, nobody out there finds an end of ours without what a guest's start
    brings. Should we be killed, the host's end takes it away."""
    end, here = stage.guests[network.name][0], stage.here
    outside = network.v6.outside if network.v6 else None
    if outside is None or IPV6 not in end.addresses:
        return
    inside = IPv6Address(end.addresses[6])
    entry = ndp.entry(outside.nic, outside.address(inside))
    stage.known_as[network.name] = str(outside.address(inside))
    here.talk.say(do="at_end", program="ip", options=["-6", "-batch", "-"], text=f"neigh del proxy {entry}\n")
    todo.callback(neighbours.answer, entry, there=False)
    with contextlib.suppress(GuestnetError):  # no such NIC: that is measured then
        neighbours.answer(entry, there=True)
    if outside.translated:
        add = nft.add_elements({translation.PARTS: (str(ndp.part(inside)),)})
        away = add + add.replace("add element", "delete element")  # adding first makes deleting safe
        here.talk.say(do="at_end", program="nft", text=away)
        todo.callback(load, away)
        load(add)


def load(text: str) -> None:
    # Without our table there are no forwards: that is what is measured then.
    with contextlib.suppress(GuestnetError), lock.rules_lock():
        run("nft", "-f", "-", given=text)


def _quiet(network: Network, candidates: list[str], here: probe.End) -> list[str]:
    """Those whom nobody answers for: after a ping the kernel knows the MACs of all others, answered or not."""
    here.ask([{"protocol": "icmp", "to": one, "port": 0, "timeout": 0.3} for one in candidates])
    entries = json.loads(run("ip", "-j", "-4", "neigh", "show", "dev", network.bridge) or "[]")
    there = {entry["dst"] for entry in entries if entry.get("lladdr")}
    return [one for one in candidates if one not in there]
