"""Which questions tell what a cell is, and whom to ask; or why nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from guestnet.act.ends import Stage
from guestnet.decide import lan
from guestnet.decide.judge import Asked
from guestnet.decide.reach import HOST, INTERNET, Cell, End, Key
from guestnet.host import probe
from guestnet.words.addresses import is_private
from guestnet.words.families import IPV6

_FAR = (("tcp", 443), ("udp", 33434), ("icmp", 0))  # what the machine outside is asked; 33434 is traceroute's
# From another machine: the way there takes its time, and loses packets
_LONGER, _TRIES = 2.0, 3  # seconds


@dataclass(frozen=True)
class Question:
    cell: Key
    asker: probe.End
    way: Asked
    order: dict[str, Any]


_Asked = tuple[Asked, str, str, int]  # the way, protocol, address, port


def questions(cell: Cell, stage: Stage, patience: float) -> Iterator[Question]:
    """What to ask for a cell; nothing when that cannot be asked. patience: seconds to wait for an answer."""
    if _absent(cell, stage):
        return
    asker = _asker(cell.source, stage)
    far = bool(stage.elsewhere) and asker is stage.outside
    wait, tries = (patience + _LONGER, _TRIES) if far else (patience, 1)
    for way, protocol, to, port in _outwards(cell, asker, stage) if cell.target == INTERNET else _inside(cell, stage):
        order: dict[str, Any] = {"protocol": protocol, "to": to, "port": port, "timeout": wait, "tries": tries}
        if "%" in to and cell.target == INTERNET:
            order["source"] = asker.addresses[cell.family]  # or it would ask from its link-local one
        yield Question(cell.key, asker, way, order)


def _outwards(cell: Cell, asker: probe.End, stage: Stage) -> Iterator[_Asked]:
    to = stage.known[cell.source.name].far.asked.get(cell.family)
    if to and cell.family in asker.addresses:
        for protocol, port in _FAR:
            yield "far", protocol, to, port


def _inside(cell: Cell, stage: Stage) -> Iterator[_Asked]:
    asker = _asker(cell.source, stage)
    answerer, address = _answerer(cell, stage)
    if address is None or not _can_ask(cell, asker):
        return
    elsewhere = bool(stage.elsewhere) and asker is stage.outside
    for protocol in ("tcp", "udp", "icmp"):
        # A private address may be somebody's there, too, and everybody answers a ping.
        if protocol != "icmp" or not elsewhere or not is_private(ip_address(address)):
            yield "direct", protocol, address, answerer.port
    opened, gate = stage.ports.get(cell.target.name), _gate(cell.source, stage, cell.family)
    if cell.verdict == "forwards" and opened and gate:
        yield "forward", "tcp", gate, opened
        yield "forward", "udp", gate, opened
        if elsewhere:
            yield "gate", "icmp", gate, 0


def unasked(cell: Cell, stage: Stage) -> str:
    """Why nobody was asked."""
    for end in (cell.source, cell.target):
        if end.kind == "network" and end.name not in stage.guests:
            return stage.without.get(end.name, f"network {end.name} does not run")
    network = cell.source if cell.source.kind == "network" else cell.target
    if stage.known[network.name].on_lan:
        return _unasked_on_lan(cell, stage, stage.guests[network.name][0])
    if cell.target == INTERNET and cell.family not in stage.known[network.name].far.asked:
        return stage.known[network.name].far.lack(cell.family)
    if cell.source == INTERNET and cell.family in stage.unreached:
        return f"the host has no IPv{cell.family} uplink, and a link of our own would be one"
    if _by_uplink(cell, stage):
        return f"it takes only what comes through {stage.uplinks[network.name]}; --from ssh:HOST asks there"
    return "no address is free in the network for an end to measure with"


def _unasked_on_lan(cell: Cell, stage: Stage, first: probe.End) -> str:
    if cell.source == INTERNET and not stage.elsewhere:
        return "a link of our own is not outside that LAN: --from ssh:HOST asks from another machine"
    if cell.source == cell.target:
        return f"an end has no link-local IPv{cell.family} address"
    address, router = cell.family in first.addresses, cell.family in first.routers
    if cell.target == INTERNET or not address:
        return lan.lacking(cell.family, address=address, router=router)
    return f"the host has no IPv{cell.family} address that a guest there could ask for"


def _absent(cell: Cell, stage: Stage) -> bool:
    if any(end.kind == "network" and end.name not in stage.guests for end in (cell.source, cell.target)):
        return True
    if cell.source != INTERNET or stage.elsewhere:
        return False
    return stage.known[cell.target.name].on_lan or cell.family in stage.unreached or _by_uplink(cell, stage)


def _by_uplink(cell: Cell, stage: Stage) -> bool:
    """Whether a link of our own is not where the connections would come from; forwards are admitted from anywhere."""
    ours = cell.source == INTERNET and not stage.elsewhere
    return ours and cell.verdict == "yes" and cell.target.name in stage.uplinks


def _answerer(cell: Cell, stage: Stage) -> tuple[probe.End, str | None]:
    """Who is asked, and at which address."""
    if cell.target == HOST:
        return stage.here, stage.known[cell.source.name].host.get(cell.family)
    if cell.target != cell.source:
        answerer = stage.guests[cell.target.name][0]
        if cell.source == INTERNET and cell.family == IPV6 and cell.target.name in stage.known_as:
            return answerer, stage.known_as[cell.target.name]
        return answerer, answerer.addresses.get(cell.family)
    answerer = stage.guests[cell.target.name][1]
    on_lan = stage.known[cell.target.name].on_lan
    return answerer, (answerer.near if on_lan else answerer.addresses).get(cell.family)


def _can_ask(cell: Cell, asker: probe.End) -> bool:
    return cell.family in asker.addresses or (cell.source == cell.target and cell.family in asker.near)


def _asker(end: End, stage: Stage) -> probe.End:
    if end == HOST:
        return stage.here
    return stage.outside if end == INTERNET else stage.guests[end.name][0]


def _gate(source: End, stage: Stage, family: int) -> str | None:
    """The host's address that the asker knows."""
    if source == INTERNET:
        return stage.gates.get(family)
    return stage.known[source.name].host.get(family) if source.kind == "network" else None
