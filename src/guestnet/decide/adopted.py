"""Networks that were there before guestnet, and were taken over or are given back: what of the file holds now, and what
waits for their next restart. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from guestnet.compile import dhcp, netlive, netmerge, netxml
from guestnet.decide.facts import Facts, ForeignNetwork
from guestnet.decide.foreign import foreign
from guestnet.decide.state import Change, Folder, Key, Network, State, Thing
from guestnet.spec.world import World


@dataclass(frozen=True)
class Hands:
    """Networks that change hands in this run, by name. `restart`: what waits for that is done now."""

    adopt: frozenset[str] = frozenset()
    release: frozenset[str] = frozenset()
    restart: bool = False


NOBODYS = Hands()
LEAVING = Hands(restart=True)  # nothing of guestnet is to stay: also not in what runs


def handed(changes: Iterable[Change]) -> dict[str, frozenset[str]]:
    """The networks that come into guestnet's hands or leave them by these changes, by name: every definition that one
    has on the way, so that it is known again also where it has no mark of ours."""
    found: dict[str, set[str]] = {}
    passed = set()
    for change in changes:
        sides = [side for side in (change.before, change.after) if isinstance(side, Network)]
        found.setdefault(change.key.name, set()).update(
            text for side in sides for text in (side.xml, side.running) if text
        )
        if len({netxml.is_ours(side.xml or side.running or "") for side in sides}) > 1:
            passed.add(change.key.name)
    return {name: frozenset(found[name]) for name in passed}


def leaving(ours: Mapping[str, Network], wanted: Collection[str], hands: Hands) -> tuple[ForeignNetwork, ...]:
    """Of our networks those that `settle` will give back. `wanted`: the names that the file has."""
    return tuple(
        foreign(name, its.running or its.xml, running=its.running is not None, autostart=its.autostart)
        for name, its in ours.items()
        if _leaves(name, its, hands, wanted=name in wanted)
    )


def settle(desired: State, live: State, world: World, facts: Facts, hands: Hands) -> tuple[State, tuple[str, ...]]:
    """`desired` with what becomes of such networks, and a notice for each that waits."""
    found: dict[Key, Thing] = dict(desired)
    # Networks given back, whose dnsmasq still reads our folder, and would not start again without it.
    found |= {
        Key("folder", dhcp.hosts_folder(network.name)): Folder() for network in facts.networks if network.reads_ours
    }
    notes: list[str] = []
    for key, thing in live.items():
        if not isinstance(thing, Network):
            continue
        wanted = desired.get(key)
        if _leaves(key.name, thing, hands, wanted=wanted is not None):
            found[key], more = _released(key.name, thing, restart=hands.restart)
            found |= more
        elif _taken_over(key.name, thing, hands) and isinstance(wanted, Network):
            found[key] = _taken(thing, wanted, _macs(key.name, world), restart=hands.restart)
            notes += _waiting(key.name, found[key], facts)
    return found, tuple(notes)


def _taken_over(name: str, there: Network, hands: Hands) -> bool:
    return name in hands.adopt or netmerge.adopted(there.xml or there.running or "")


def _leaves(name: str, there: Network, hands: Hands, *, wanted: bool) -> bool:
    """What was there before guestnet is given back where the file has it no more; what guestnet made, when told to."""
    return name in hands.release or (not wanted and _taken_over(name, there, hands))


def _taken(there: Network, wanted: Network, macs: Collection[str], *, restart: bool) -> Network:
    xml = netmerge.merged(there.xml or there.running or "", wanted.xml, macs)
    if there.running is None:
        return Network(xml, wanted.running and xml, wanted.autostart)
    near = netlive.reachable(there.running, xml)
    return Network(xml, xml if restart and _differs(near, xml) else near, wanted.autostart)


def _released(name: str, there: Network, *, restart: bool) -> tuple[Network, State]:
    """Its dnsmasq reads our folder as long as it runs, and would not start again without it."""
    xml = netmerge.released(there.xml or there.running or "")
    if there.running is None or not netmerge.hosts_dir(there.running):
        return Network(xml, there.running, there.autostart), {}
    if restart:
        return Network(xml, netmerge.released(there.running), there.autostart), {}
    return Network(xml, there.running, there.autostart), {Key("folder", dhcp.hosts_folder(name)): Folder()}


def _macs(network: str, world: World) -> set[str]:
    nics = [nic for guest in world.guests for nic in guest.nics if nic.network == network]
    return {nic.mac for nic in nics if nic.mac and (nic.ipv4 or nic.ipv6)}


def _differs(running: str, xml: str) -> bool:
    """Whether a restart would change anything but our mark."""
    return netxml.unmarked(running) != netxml.unmarked(xml)


def _waiting(name: str, network: Thing, facts: Facts) -> list[str]:
    if not isinstance(network, Network) or network.running is None or not _differs(network.running, network.xml):
        return []
    lines = netxml.differences(netxml.unmarked(network.running), netxml.unmarked(network.xml))
    guests = sorted(
        domain.name for domain in facts.domains if domain.running and any(nic.network == name for nic in domain.nics)
    )
    hit = f", {', '.join(guests)} without network for up to 1 s" if guests and netxml.own_bridge(network.xml) else ""
    reservations = " Until then addresses are not reserved by guestnet." if "dhcp-hostsdir" in "".join(lines) else ""
    now = f"To have it now{hit}: guestnet apply --restart"
    return ["\n".join([f"network {name}: part of it waits for its next restart.{reservations} {now}", *lines])]
