"""Who can reach whom, as the file promises it on this host: a matrix per family, each cell with its reason. Pure.

A cell says whether new connections can be opened. What a packet really does is measured by `act.measure`, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from guestnet.compile import ruleset
from guestnet.decide import lan, upstream
from guestnet.decide.facts import Facts
from guestnet.decide.forwardtext import forward_lines
from guestnet.spec.world import Lan, Network, Outside, Side4, Side6, World
from guestnet.words.addresses import is_private
from guestnet.words.families import IPV4, IPV6

Verdict = Literal["yes", "no", "forwards", "services", "lan"]
# forwards: only by a forward; services: DHCP, DNS and ICMP only; lan: as whatever is on the LAN allows

FAMILIES = (4, 6)


class End(NamedTuple):
    """One end of a cell: the guests of a network, the host itself, or everything behind the uplink."""

    kind: Literal["network", "host", "internet"]
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.kind


HOST = End("host")
INTERNET = End("internet")


Key = tuple[End, End, int]  # source, target, family


@dataclass(frozen=True)
class Cell:
    source: End
    target: End
    family: int  # 4 or 6
    verdict: Verdict
    reason: str

    @property
    def key(self) -> Key:
        return self.source, self.target, self.family


@dataclass(frozen=True)
class Measured:
    """What packets said of a cell. verdict None: nobody was asked, as `text` says why; partly: not all protocols.

    promise: what the prediction `lan` comes to, where that is known: who has an address and a router from the LAN is
    to get through it. simulated: the internet's side was a link of our own; elsewhere: it was this machine.
    """

    cell: Cell
    verdict: Verdict | Literal["partly"] | None
    text: str
    promise: Verdict | None = None
    simulated: bool = False
    elsewhere: str = ""

    @property
    def right(self) -> bool | None:
        """Whether it is as predicted; None when that was not to be said."""
        wanted = self.promise if self.cell.verdict == "lan" else self.cell.verdict
        return None if self.verdict is None or wanted is None else self.verdict == wanted


def predict(world: World, facts: Facts) -> tuple[Cell, ...]:
    """Every network with the internet, the host, itself and each other network, in each family that both have."""
    return tuple(cell for family in FAMILIES for cell in _family(world, facts, family))


def _family(world: World, facts: Facts, family: int) -> Iterator[Cell]:
    there = [network for network in world.networks if _side(network, family)]
    forwards = _forwards(world, family)
    for network in there:
        end = End("network", network.name)
        yield Cell(end, INTERNET, family, *outwards(network, facts, family))
        yield Cell(INTERNET, end, family, *_inwards(network, forwards.get(network.name, []), facts, family))
        yield Cell(end, end, family, *_among(network))
        yield Cell(end, HOST, family, *_host(network, "guests", "the host"))
        yield Cell(HOST, end, family, *_host(network, "the host", "guests"))
        for other in there:
            if other.name != network.name:
                target = End("network", other.name)
                yield Cell(end, target, family, *_across(network, other, forwards.get(other.name, []), family))
    for network_on_lan in world.lans:
        yield from _lan(network_on_lan, facts, family)


_Said = tuple[Verdict, str]


def outwards(network: Network, facts: Facts, family: int) -> tuple[Verdict, str]:
    """Whether guests of the network get out to the internet, and why."""
    if network.mode == "isolated":
        return "no", "isolated: nothing leaves the network"
    if not any(family in uplink.families for uplink in facts.uplinks):
        return "no", f"the host has no IPv{family} default route"
    if upstream.all_denied(network, family):
        return "no", f"egress of {network.name} denies all of IPv{family}"
    but = upstream.but_not(network, family)
    if network.mode == "nat" and (family == IPV4 or network.nat6):
        return "yes", f"NAT{'44' if family == IPV4 else '66'} by libvirt, as the host's own address{but}"
    shared = network.v6.outside if network.v6 and family == IPV6 else None
    if shared:
        return "yes", f"{_own_outside(shared)}{but}"
    verdict, reason = _untranslated(network, facts, family)
    return verdict, f"{reason}{but if verdict == 'yes' else ''}"


def _untranslated(network: Network, facts: Facts, family: int) -> _Said:
    """Outwards without NAT of this host's."""
    side = _side(network, family)
    if side is None or not is_private(side.host.ip):
        return "yes", f"no NAT: the upstream router needs a route to {side.host.network if side else ''}"
    if not upstream.translates(network, facts, family):
        return "no", f"no NAT, and {side.host.network} is private: the internet cannot answer"
    if network.proxy_arp and family == IPV4:
        return "yes", f"proxy ARP on {network.uplink}, and the router upstream NATs it"
    return "yes", "the router upstream needs a route to it, and NATs it"


def _own_outside(shared: Outside) -> str:
    if shared.translated:
        return f"prefix NAT: guests of the file as themselves in {shared.prefix}, others as the host's own address"
    return f"no NAT: the host answers for guests of the file on {shared.nic} (NDP proxy)"


def _inwards(network: Network, forwards: list[str], facts: Facts, family: int) -> _Said:
    side = _side(network, family)
    if network.mode == "isolated":
        return "no", "isolated: nothing enters the network"
    if not upstream.reached(facts, family):
        return "no", f"the host has no IPv{family} uplink, so nobody out there can ask it"
    if family in network.open and side is not None:
        shared = side.outside if isinstance(side, Side6) else None
        if shared:
            return "yes", f"inbound open, at the addresses in {shared.prefix} that the host answers for on {shared.nic}"
        return "yes", f"inbound open, for whoever has a route to {side.host.network}"
    if not forwards:
        return "no", _closed(network, family)
    return "forwards", f"only {', '.join(forwards)}"


def _closed(network: Network, family: int) -> str:
    if network.mode == "nat" and (family == IPV4 or network.nat6):
        return "libvirt's NAT admits new connections only by a forward, and there is none"
    return "inbound closed by guestnet, and there is no forward"


def _among(network: Network) -> _Said:
    if network.guest_isolation:
        return "no", "guest_isolation: their bridge ports are isolated"
    return "yes", "one bridge"


def _host(network: Network, source: str, target: str) -> _Said:
    match network.host_access:
        case "full":
            return "yes", "host_access: full"
        case "services":
            if source == "guests":
                return "services", "host_access: services, that is DHCP, DNS and ping"
            return "no", "host_access: services, which is for guests only"
        case "none":
            return "no", f"host_access: none: {source} do not reach {target}"


def _across(network: Network, other: Network, forwards: list[str], family: int) -> _Said:
    side = _side(other, family)
    if "isolated" in (network.mode, other.mode):
        which = network if network.mode == "isolated" else other
        return "no", f"{which.name} is isolated"
    by_forward: _Said = ("forwards", f"only {', '.join(forwards)}") if forwards else ("no", _closed(other, family))
    if side is not None and any(to.version == family and to.overlaps(side.host.network) for to in network.deny):
        return "no", f"egress of {network.name} denies {side.host.network}"
    if family not in other.open:
        return by_forward
    if network.uplink:
        return "no", f"{network.name} forwards through {network.uplink} only"
    if other.uplink:
        return "no", f"{other.name} takes what comes through {other.uplink} only"
    return "yes", f"{other.name} is open"


def _lan(network: Lan, facts: Facts, family: int) -> Iterator[Cell]:
    end = End("network", network.name)
    yield Cell(end, INTERNET, family, *lan.beyond(network))
    yield Cell(INTERNET, end, family, *lan.beyond(network))
    yield Cell(end, end, family, *lan.among(network))
    yield Cell(end, HOST, family, *lan.with_host(network, facts, family))
    yield Cell(HOST, end, family, *lan.with_host(network, facts, family))


def _side(network: Network, family: int) -> Side4 | Side6 | None:
    return network.v4 if family == IPV4 else network.v6


def _forwards(world: World, family: int) -> dict[str, list[str]]:
    """The forwards into each network, as a person reads them."""
    found: dict[str, list[str]] = {}
    for guest in world.guests:
        for network in {forward.network for forward in guest.forwards}:
            wanted = [one for one in guest.forwards if one.network == network and one.target.version == family]
            pairs = [(name, item) for name, items in ruleset.elements(wanted).items() for item in items]
            lines = [line.rsplit(" (", 1)[0].replace(" -> ", f" -> {guest.name}:", 1) for line in forward_lines(pairs)]
            found.setdefault(network, []).extend(lines)
    return found
