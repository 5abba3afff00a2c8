"""Who can reach whom, as the file promises it on this host: a matrix per family, each cell with its reason. Pure.

A cell says whether new connections can be opened. What a packet really does is measured by `act.measure`, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from guestnet.compile import ruleset
from guestnet.decide.facts import Facts
from guestnet.decide.forwardtext import forward_lines
from guestnet.spec.world import Lan, Network, Side4, Side6, World
from guestnet.words.addresses import is_private

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
    """What packets said of a cell. verdict None: nobody was asked, as `text` says why; partly: not all protocols."""

    cell: Cell
    verdict: Verdict | Literal["partly"] | None
    text: str

    @property
    def right(self) -> bool | None:
        """Whether it is as predicted; None when that was not to be said."""
        return None if self.verdict is None or self.cell.verdict == "lan" else self.verdict == self.cell.verdict


_REACHED = ("answered", "refused")  # refused: by the far end itself


def judge(cell: Cell, answers: list[tuple[str, str, dict[str, Any]]], otherwise: str) -> Measured:
    """answers: (direct, forward or far; protocol; what probework says). `otherwise`: why there are none."""
    if not answers:
        return Measured(cell, None, otherwise)
    text = ", ".join(_heard(way, protocol, answer) for way, protocol, answer in answers)
    if any(way == "far" for way, _, _ in answers):
        # Who is asked out there owes us no answer on each protocol, and a refusal has come all the way.
        return Measured(cell, "yes" if any(answer["outcome"] in _REACHED for _, _, answer in answers) else "no", text)
    # Our own ends do answer. A refusal through a forward may be of a rule on the way: NAT gives it the address asked.
    direct = {protocol for way, protocol, answer in answers if way == "direct" and answer["outcome"] == "answered"}
    forward = [answer["outcome"] == "answered" for way, _, answer in answers if way == "forward"]
    if len(direct) == len({protocol for way, protocol, _ in answers if way == "direct"}):
        return Measured(cell, "yes", text)
    if direct:
        return Measured(cell, "services" if direct == {"icmp"} else "partly", text)
    if forward and not all(forward):
        return Measured(cell, "partly" if any(forward) else "no", text)
    return Measured(cell, "forwards" if forward else "no", text)


def _heard(way: str, protocol: str, answer: dict[str, Any]) -> str:
    what = f"{'by forward ' if way == 'forward' else ''}{protocol} {answer['outcome']}"
    return f"{what} by {answer['by']}" if answer["outcome"] == "rejected" and answer["by"] else what


def predict(world: World, facts: Facts) -> tuple[Cell, ...]:
    """Every network with the internet, the host, itself and each other network, in each family that both have."""
    return tuple(cell for family in FAMILIES for cell in _family(world, facts, family))


def _family(world: World, facts: Facts, family: int) -> Iterator[Cell]:
    there = [network for network in world.networks if _side(network, family)]
    forwards = _forwards(world, family)
    for network in there:
        end = End("network", network.name)
        yield Cell(end, INTERNET, family, *_outwards(network, facts, family))
        yield Cell(INTERNET, end, family, *_inwards(network, forwards.get(network.name, []), facts, family))
        yield Cell(end, end, family, *_among(network))
        yield Cell(end, HOST, family, *_host(network, "guests", "the host"))
        yield Cell(HOST, end, family, *_host(network, "the host", "guests"))
        for other in there:
            if other.name != network.name:
                target = End("network", other.name)
                yield Cell(end, target, family, *_across(network, other, forwards.get(other.name, []), family))
    for lan in world.lans:
        yield from _lan(lan, family)


_Said = tuple[Verdict, str]


def _outwards(network: Network, facts: Facts, family: int) -> _Said:
    side = _side(network, family)
    if network.mode == "isolated":
        return "no", "isolated: nothing leaves the network"
    if not any(family in uplink.families for uplink in facts.uplinks):
        return "no", f"the host has no IPv{family} default route"
    if network.mode == "nat" and (family == 4 or network.nat6):  # noqa: PLR2004
        return "yes", f"NAT{'44' if family == 4 else '66'} by libvirt, as the host's own address"  # noqa: PLR2004
    if side is not None and is_private(side.host.ip):
        return "no", f"no NAT, and {side.host.network} is private: the internet cannot answer"
    return "yes", f"no NAT: the upstream router needs a route to {side.host.network if side else ''}"


def _inwards(network: Network, forwards: list[str], facts: Facts, family: int) -> _Said:
    side = _side(network, family)
    if network.mode == "isolated":
        return "no", "isolated: nothing enters the network"
    if family in network.open and side is not None:
        return "yes", f"inbound open, for whoever has a route to {side.host.network}"
    if not forwards:
        return "no", _closed(network, family)
    return "forwards", f"only {', '.join(forwards)}"


def _closed(network: Network, family: int) -> str:
    if network.mode == "nat" and (family == 4 or network.nat6):  # noqa: PLR2004
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


def _lan(lan: Lan, family: int) -> Iterator[Cell]:
    end = End("network", lan.name)
    via = f"over {lan.bridge or lan.interface}"
    yield Cell(end, INTERNET, family, "lan", f"as the LAN {via}")
    yield Cell(INTERNET, end, family, "lan", f"as the LAN {via}")
    if lan.mode == "macvtap":
        kernel = f"the kernel passes nothing between {lan.interface} and its macvtaps (macvlan)"
        if lan.macvtap == "bridge":
            yield Cell(end, end, family, "yes", f"one macvtap bridge on {lan.interface}")
        elif lan.macvtap == "vepa":
            yield Cell(end, end, family, "lan", "vepa: if the switch sends it back (802.1Qbg)")
        else:
            yield Cell(end, end, family, "no", "private: macvtaps hear nothing of each other")
        yield Cell(end, HOST, family, "no", kernel)
        yield Cell(HOST, end, family, "no", kernel)
        return
    if lan.guest_isolation:
        yield Cell(end, end, family, "no", "guest_isolation: their bridge ports are isolated")
    else:
        yield Cell(end, end, family, "yes", "one bridge")
    yield Cell(end, HOST, family, "lan", f"as any machine on the LAN {via}")
    yield Cell(HOST, end, family, "lan", f"as any machine on the LAN {via}")


def _side(network: Network, family: int) -> Side4 | Side6 | None:
    return network.v4 if family == 4 else network.v6  # noqa: PLR2004


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
