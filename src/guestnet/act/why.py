"""Sends one probe from a place to a place, follows it, and gathers what no rule shows. The verdict is decide.why's."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from guestnet.act.ends import free, own, plug
from guestnet.act.measure import PATIENCE, Host
from guestnet.decide.reach import FAMILIES
from guestnet.decide.trace import destination, parse
from guestnet.decide.why import Case, Why, explain
from guestnet.host import lock, probe, sysctl
from guestnet.host.run import ProgramError, run
from guestnet.host.trace import AWAY, traced
from guestnet.spec.world import Guest, Network
from guestnet.words.problems import GuestnetError


@dataclass(frozen=True)
class Question:
    """SRC and DST as a person names them; port 0 with icmp."""

    source: str
    target: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Answer:
    family: int
    asked_from: str
    asked: str
    why: Why


def why(host: Host, question: Question, drift: tuple[str, ...]) -> list[Answer]:
    """One for each family that both sides have. Raises GuestnetError for a place that nobody knows."""
    source, target = _network(host, question.source), _network(host, question.target)
    same = source is not None and source is target
    _known(host, question.source)
    _known(host, question.target)
    with lock.probe_lock(), contextlib.ExitStack() as todo:
        here = probe.here()
        todo.callback(here.close)
        here.talk.say(do="at_end", program="nft", text=AWAY)
        ends = {
            network.name: plug(network, f"gnwhy{i}", free(network, host.world, host.facts, here), todo)
            for i, network in enumerate(one for one in (source, None if same else target) if one)
        }
        asker = here
        if question.source == "internet" or (source is None and question.source != "host"):
            asker = probe.outside("gnwhy9")
            todo.callback(asker.close)
        elif source is not None:
            asker = ends[source.name][0]
        time.sleep(max((probe.forwarding_delay(network.bridge) for network in (source, target) if network), default=0))
        probe.settle([network.bridge for network in (source, target) if network])
        return list(_ask(host, question, asker, ends, drift))


def _ask(
    host: Host,
    question: Question,
    asker: probe.End,
    ends: dict[str, tuple[probe.End, probe.End]],
    drift: tuple[str, ...],
) -> Iterator[Answer]:
    source, target = _network(host, question.source), _network(host, question.target)
    for family in FAMILIES:
        asked, port = _address(host, question, family, ends)
        came_from = asker.addresses.get(family)
        if asked is None or came_from is None:
            continue
        order = {"protocol": question.protocol, "to": asked, "port": port, "timeout": PATIENCE}
        answer, lines = traced(question.protocol, came_from, asked, port, lambda order=order: asker.ask([order])[0])  # type: ignore[misc]
        packets = parse(lines)
        case = Case(
            source=question.source,
            target=question.target,
            asked=asked,
            protocol=question.protocol,
            port=port,
            came_from=came_from or _head(packets),
            answer=answer,
            packets=packets,
            forwarding=sysctl.read("net/ipv4/ip_forward" if family == 4 else "net/ipv6/conf/all/forwarding") != "0",  # noqa: PLR2004
            route=_route(asked),
            neighbour=_neighbour((destination(packets[0]) if packets else "") or asked, host),
            strict=family == 4 and _strict(asker.link or "all"),  # noqa: PLR2004
            to_host=any(asked == str(address.ip) for _, address in host.facts.addresses) or asked in _gates(),
            isolated=source is not None and source is target and source.guest_isolation,
            nat=source is not None and source.mode == "nat" and (family == 4 or source.nat6),  # noqa: PLR2004
            drift=drift,
        )
        yield Answer(family, case.came_from, asked, explain(case))


def _known(host: Host, name: str) -> None:
    names = [network.name for network in host.world.networks] + [guest.name for guest in host.world.guests]
    if name not in ("internet", "host", *names) and not _is_address(name):
        todo = f"write internet, host, an address, or one of {', '.join(sorted(names))}"
        raise GuestnetError(f"nobody knows {name}", todo)


def _guest(host: Host, name: str) -> Guest | None:
    return next((guest for guest in host.world.guests if guest.name == name), None)


def _network(host: Host, name: str) -> Network | None:
    """The network that a place is in: its own, that of a guest, that of an address."""
    guest = _guest(host, name)
    wanted = guest.nics[0].network if guest and guest.nics else name
    for network in host.world.networks:
        if network.name == wanted and network.name in host.running:
            return network
    with contextlib.suppress(ValueError):
        address = ip_address(name)
        for network in host.world.networks:
            for side in network.sides:
                if address.version == side.host.version and address in side.host.network and address != side.host.ip:
                    return network if network.name in host.running else None
    return None


def _address(
    host: Host, question: Question, family: int, ends: dict[str, tuple[probe.End, probe.End]]
) -> tuple[str | None, int]:
    """Whom to ask for, and on which port; nobody when the place has no address of the family."""
    source, target = _network(host, question.source), _network(host, question.target)
    guest, port = _guest(host, question.target), question.port
    gate = own(source, family) if source else _uplink(host, family)
    asked: str | None = None
    if question.target == "internet":
        asked = host.target.get(family)
    elif question.target == "host":
        asked = gate
    elif guest is not None and target is not None:
        nic = guest.nics[0]
        its = nic.ipv4 if family == 4 else nic.ipv6  # noqa: PLR2004
        directly = source is target or family in target.open or question.source == "host"
        asked = str(its) if its and directly else gate if its else None
    elif target is not None and question.target == target.name:
        end = ends[target.name][1 if target is source else 0]
        asked, port = end.addresses.get(family), port or end.port
    elif _is_address(question.target) and ip_address(question.target).version == family:
        asked = question.target
    return asked, port


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _uplink(host: Host, family: int) -> str | None:
    """An address of the host that the outside knows."""
    nics = [uplink.nic for uplink in host.facts.uplinks if family in uplink.families]
    return next((str(one.ip) for link, one in host.facts.addresses if link in nics and one.version == family), None)


def _gates() -> tuple[str, str]:
    return probe.BEFORE4.partition("/")[0], probe.BEFORE6.partition("/")[0]


def _head(packets: list[list[Any]]) -> str:
    """The address that the host itself asked from."""
    words = packets[0][0].text.split() if packets and packets[0] else []
    return words[words.index("saddr") + 1] if "saddr" in words else ""


def _route(address: str) -> str:
    try:
        return run("ip", "-6" if ":" in address else "-4", "route", "get", address).strip()
    except ProgramError:
        return ""


def _neighbour(address: str, host: Host) -> bool:
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


def _strict(link: str) -> bool:
    return "1" in (sysctl.read("net/ipv4/conf/all/rp_filter"), sysctl.read(f"net/ipv4/conf/{link}/rp_filter"))
