"""What is, in the person's own names: networks, guests with their addresses, and what differs from the file. Forwards
are listed by `forwardlist`.

Pure; made from a plan, because what a plan would change is what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from guestnet.decide.describe import describe
from guestnet.decide.facts import Facts
from guestnet.decide.notices import libvirt_gone
from guestnet.decide.plan import Plan
from guestnet.decide.prefer.record import Record
from guestnet.decide.prefer.uses import families
from guestnet.decide.state import Key, Network, State
from guestnet.decide.whereabouts import Has, elsewhere, met
from guestnet.spec.world import Guest, Nic


@dataclass(frozen=True)
class Status:
    """Rows of columns, ready to be lined up; `drift` in whole lines."""

    networks: tuple[tuple[str, ...], ...]
    guests: tuple[tuple[str, ...], ...]
    drift: tuple[str, ...]


def make_status(plan: Plan, live: State, preferred: Mapping[str, Record] = MappingProxyType({})) -> Status:
    """preferred: by guest, what was written in its gai.conf."""
    first = families(plan.world, plan.facts, preferred)
    return Status(
        networks=tuple(_networks(plan, live)),
        guests=tuple(row for guest in plan.world.guests for row in _guest(guest, plan.facts, first[guest.name])),
        drift=tuple(_drift(plan, live)),
    )


def _networks(plan: Plan, live: State) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for lan in plan.world.lans:
        rows.append((lan.name, lan.mode, lan.place, _running(live, lan.name), "-", "-", _count(plan, lan.name)))
    for network in plan.world.networks:
        sides = [str(side.host) if side else "-" for side in (network.v4, network.v6)]
        state = _running(live, network.name)
        rows.append((network.name, network.mode, network.bridge, state, *sides, _count(plan, network.name)))
    return sorted(rows)


def _running(live: State, name: str) -> str:
    match live.get(Key("network", name)):
        case Network(running=None):
            return "stopped"
        case Network():
            return "running"
        case _:
            return "not there"


def _count(plan: Plan, name: str) -> str:
    count = sum(nic.network == name for guest in plan.world.guests for nic in guest.nics)
    return f"{count} guest{'s' if count != 1 else ''}"


def _guest(guest: Guest, facts: Facts, first: str) -> list[tuple[str, ...]]:
    """A row a NIC. first: the family that its programs try first."""
    domain = next((domain for domain in facts.domains if domain.name == guest.name), None)
    state = "not defined" if domain is None else "running" if domain.running else "off"
    has = elsewhere(guest, facts) if state == "running" else {}
    return [(guest.name, state, nic.network, *_addresses(nic, has, facts), first) for nic in guest.nics]


def _addresses(nic: Nic, has: Has, facts: Facts) -> tuple[str, str]:
    """The reserved ones; beside it what the guest has instead, to which its forwards go. Of a guest that makes its IPv6
    address itself, the one that it most likely makes."""
    shown = []
    for address in (nic.ipv4, nic.ipv6):
        old = has.get((nic.network, address.version), address) if address else None
        notes = _by_itself(nic, facts) if address and address == nic.ipv6 else []
        notes += [f"it has {old}"] if old != address else []
        shown.append("-" if address is None else f"{address} ({', '.join(notes)})" if notes else str(address))
    if nic.outside and nic.outside.translated and nic.global6:
        shown[1] += f" ({nic.global6} outside)"
    return shown[0], shown[1]


def _by_itself(nic: Nic, facts: Facts) -> list[str]:
    if not nic.slaac:
        return []
    return ["SLAAC"] if met(nic, 6, facts) else ["SLAAC, predicted"]


def _drift(plan: Plan, live: State) -> list[str]:
    lines = [f"{item.title}: {line}" for item in describe(plan) for line, _ in item.lines]
    if plan.world.networks and Key("table", "guestnet") not in live:
        lines.insert(0, "no isolation and no forwards: the firewall table inet guestnet is missing")
    if plan.changes and not lines:
        lines.append("host: files of guestnet's own differ from what the file makes of them")
    return [*lines, *libvirt_gone(plan.facts), *(str(problem) for problem in plan.problems)]
