"""Whom to ask, from where and at which address, for two places that a person named; or why nobody can be asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from guestnet.act import hostview
from guestnet.act.ends import Stage
from guestnet.act.measure import PATIENCE, Host
from guestnet.decide.forwarded import Through
from guestnet.decide.lan import lacking
from guestnet.decide.places import Place, running_domain
from guestnet.host import probe
from guestnet.spec.world import Guest, Network, Nic
from guestnet.words.families import IPV6


@dataclass(frozen=True)
class Question:
    """SRC and DST as a person names them; port 0 with icmp."""

    source: str
    target: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Ask:
    """One packet to send: by whom, and the order for its worker; `through` when the host is asked for somebody."""

    source: Place
    target: Place
    family: int
    asker: probe.End
    order: dict[str, Any]
    through: Through | None = None
    lacks: str = ""  # why this is asked, and not what was wanted

    @property
    def asked(self) -> str:
        return str(self.order["to"]).partition("%")[0]

    @property
    def sent_from(self) -> str:
        """The address that it will come from; "" when the kernel, or another machine, chooses."""
        near = self.asked.startswith(("169.254.", "fe80:"))
        its = (self.asker.near if near else self.asker.addresses).get(self.family, "")
        return str(self.order.get("source") or its).partition("%")[0]


@dataclass(frozen=True)
class Wanted:
    """What a person wants to know, in one family."""

    host: Host
    ends: Stage
    question: Question
    source: Place
    target: Place
    family: int

    @property
    def asker(self) -> probe.End:
        if self.source.kind == "host":
            return self.ends.here
        return self.ends.guests[self.source.network.name][0] if self.source.network else self.ends.outside

    @property
    def inside(self) -> bool:
        """Whether both are in one network."""
        return self.source.network is not None and self.source.network is self.target.network

    @property
    def gate(self) -> str | None:
        """The host's own address that the source knows."""
        if self.source.network is None:
            return hostview.uplink(self.host, self.family)
        return self.ends.known[self.source.network.name].host.get(self.family)

    @property
    def no_gate(self) -> str:
        return f"the host has no IPv{self.family} address that {self.source.name} could ask for"


def ask_for(wanted: Wanted) -> Ask | str:
    """What to ask; or why there is nothing to ask in that family."""
    source, target, family = wanted.source, wanted.target, wanted.family
    for place in (source, target):
        if not place.has(family):
            return f"{place.name} has none"
        if place.network and place.network.name in wanted.ends.without:
            return f"network {place.network.name}: {wanted.ends.without[place.network.name]}"
    if family not in (wanted.asker.near if wanted.inside and source.on_lan else wanted.asker.addresses):
        return _instead(wanted, _no_address(wanted))
    whom = _whom(wanted)
    if isinstance(whom, str):
        return _instead(wanted, whom)
    asked, port, through = whom
    order = {"protocol": wanted.question.protocol, "to": asked, "port": port, "timeout": PATIENCE}
    if source.kind == "host" and source.address:
        order["source"] = source.address
    elif "%" in asked and target.kind == "internet":
        order["source"] = wanted.asker.addresses[family]  # or it would ask from its link-local one
    return Ask(source, target, family, wanted.asker, order, through)


def _no_address(wanted: Wanted) -> str:
    if wanted.source.on_lan:
        return lacking(wanted.family, address=False, router=wanted.family in wanted.asker.routers)
    return f"no address is free in network {wanted.source.name} for an end to ask from"


def _instead(wanted: Wanted, lacks: str) -> Ask | str:
    ask = beside(wanted.ends, wanted.source, wanted.family)
    return replace(ask, lacks=lacks) if ask else lacks


def beside(ends: Stage, source: Place, family: int) -> Ask | None:
    """Of an end that the LAN gave no address something can be followed all the same: a ping to the other end beside it,
    which shows what drops everything in the bridge, DHCP too."""
    network = source.network
    if not source.on_lan or network is None or network.bridge is None or network.name not in ends.guests:
        return None
    asker, other = ends.guests[network.name]
    if family not in asker.near or family not in other.near:
        return None
    place = Place(network.name, "network", network)
    order = {"protocol": "icmp", "to": other.near[family], "port": 0, "timeout": PATIENCE}
    return Ask(place, place, family, asker, order)


_Whom = tuple[str, int, Through | None]


def _whom(wanted: Wanted) -> _Whom | str:
    """The address to ask for, the port, and whom it stands for; or why there is none."""
    port, target, family = wanted.question.port, wanted.target, wanted.family
    match target.kind:
        case "internet":
            return _internet(wanted)
        case "guest":
            return _guest(wanted)
        case "host":
            asked, lacks = target.address or wanted.gate, wanted.no_gate
        case "network":
            end = wanted.ends.guests[target.name][1 if wanted.inside else 0]
            asked = (end.near if wanted.inside and target.on_lan else end.addresses).get(family)
            port, lacks = port or end.port, f"no end in network {target.name} got an address"
        case _:
            asked, lacks = (target.outside or target.address) if _from_outside(wanted) else target.address, ""
    return (asked, port, None) if asked else lacks


def _internet(wanted: Wanted) -> _Whom | str:
    family, network = wanted.family, wanted.source.network
    known = wanted.ends.known[network.name] if network else None
    far = known.far if known else wanted.host.far
    asked = far.asked.get(family)
    if asked:
        return asked, wanted.question.port, None
    if known and known.on_lan:
        return lacking(family, address=family in wanted.asker.addresses, router=False)
    return far.lack(family)


def _guest(wanted: Wanted) -> _Whom | str:
    """A guest's own address; or, where only forwards of the host's lead to it, that, and a ping its own all the
    same."""
    guest, nic, network = wanted.target.guest, wanted.target.nic, wanted.target.network
    if guest is None or nic is None or network is None:
        return f"{wanted.target.name} is in no network"
    its, port = hostview.addresses(wanted.host, guest.name, nic, wanted.family), wanted.question.port
    if not its:
        return f"{guest.name} has no IPv{wanted.family} address in network {network.name}"
    direct = wanted.inside or wanted.source.kind == "host" or not port
    if direct or not isinstance(network, Network) or wanted.family in network.open or _opened(wanted, guest, nic):
        translated = _from_outside(wanted) and nic.outside is not None and nic.outside.translated
        known = nic.global6 if translated and wanted.family == IPV6 else None
        return str(known or its[0]), port, None
    return _by_forward(wanted, guest, nic, frozenset(its))


def _opened(wanted: Wanted, guest: Guest, nic: Nic) -> bool:
    """Whether it is a port of the guest's own that a forward opens there, in a closed network, and none of the host's
    that leads to it: that one would be meant."""
    port, protocol = wanted.question.port, wanted.question.protocol
    its = [
        one
        for one in guest.forwards
        if (one.network, one.target.version, one.protocol) == (nic.network, wanted.family, protocol)
    ]
    leads = any(one.ports.first <= port <= one.ports.last for one in its)
    return not leads and any(one.opens and one.to.first <= port <= one.to.last for one in its)


def _from_outside(wanted: Wanted) -> bool:
    return wanted.source.kind in ("internet", "outside")


def _by_forward(wanted: Wanted, guest: Guest, nic: Nic, its: frozenset[str]) -> _Whom | str:
    port, protocol, family = wanted.question.port, wanted.question.protocol, wanted.family
    forwards = tuple(one for one in guest.forwards if one.network == nic.network and one.target.version == family)
    listens = [one.listen for one in forwards if one.ports.first <= port <= one.ports.last]
    asked = next((str(one) for one in listens if one and not isinstance(one, str)), None) or wanted.gate
    if asked is None:
        return wanted.no_gate
    through = Through(
        guest.name,
        wanted.source.name,
        its,
        asked,
        protocol,
        port,
        came_from=wanted.asker.addresses.get(family, ""),
        forwards=forwards,
        running=running_domain(wanted.host.facts, guest),
        options=" --lan" if wanted.source.on_lan else "",
        names=hostview.names(wanted.host),
    )
    return asked, port, through
