"""The plan: what would change, as data. It can be printed in several ways, and has a digest to name it by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from guestnet.decide.desired import address_now
from guestnet.decide.facts import Facts
from guestnet.decide.state import Change, Key, Network, State, compare, to_data
from guestnet.spec.world import Guest, World
from guestnet.words.problems import Problem


@dataclass(frozen=True)
class Plan:
    """`changes` in the order to do them; with `problems` it can't be applied; `notices` are for the reader only."""

    world: World
    facts: Facts
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Names the changes: the same changes on the same state have the same digest. Six hex digits."""
        data = json.dumps([to_data(change) for change in self.changes], sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:6]


def make_plan(world: World, facts: Facts, live: State, desired: State) -> Plan:
    changes = compare(live, desired)
    return Plan(world, facts, changes, _conflicts(world, facts, live), _notices(world, facts))


def overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def cut_off(change: Change, facts: Facts) -> tuple[str, ...]:
    """The running guests that lose their network for a moment (restart) or for good (removal) by this change."""
    if change.key.kind != "network" or not isinstance(change.before, Network) or change.before.running is None:
        return ()
    if isinstance(change.after, Network) and change.after.running == change.before.running:
        return ()  # also when only taps are put back: that disturbs nobody who is not disturbed already
    name = change.key.name
    return tuple(d.name for d in facts.domains if d.running and any(nic.network == name for nic in d.nics))


def _conflicts(world: World, facts: Facts, live: State) -> tuple[Problem, ...]:
    """What somebody else has on this host already; nothing of theirs is ever changed."""
    found = []
    foreign = {network.name: network for network in facts.networks}
    bridges = {network.bridge: network.name for network in facts.networks if network.bridge}
    for network in world.networks:
        ours = Key("network", network.name) in live
        if network.name in foreign:
            what = f"network {network.name} exists in libvirt and is not guestnet's"
            found.append(Problem(what, "give yours another name in the file, or remove that one with virsh"))
        elif network.bridge in bridges:
            what = f"bridge {network.bridge} of network {network.name} is used by libvirt's network "
            what += bridges[network.bridge]
            found.append(Problem(what, "choose another bridge: in the file, or leave it out"))
        elif network.bridge in facts.bridges and not ours:
            what = f"bridge {network.bridge} of network {network.name} exists on the host already"
            found.append(Problem(what, "choose another bridge: in the file, or leave it out"))
        for side in (network.v4, network.v6):
            for link, subnet in facts.subnets:
                if side and link != network.bridge and overlap(side.host.network, subnet):
                    what = f"{side.host.network} of network {network.name} overlaps {subnet} on {link}"
                    found.append(Problem(what, "choose another subnet: in the file, or write auto"))
    if facts.foreign_table and world.networks:
        what = "the firewall has a table inet guestnet that somebody else made (it has no mark of ours)"
        found.append(Problem(what, "rename it, or remove it: nft delete table inet guestnet"))
    return tuple(found)


def _moving(guest: Guest, facts: Facts) -> list[str]:
    """An address that changes under a running guest holds from its next lease on."""
    now = {(forward.target, address_now(guest, forward, facts)) for forward in guest.forwards}
    running = any(domain.name == guest.name and domain.running for domain in facts.domains)
    return [
        f"guest {guest.name} moves from {old} to {new} at its next lease (or restart); until then its forwards follow "
        f"{old}. Apply again once it has moved"
        for new, old in sorted(now, key=str)
        if running and new != old
    ]


def _served(world: World, facts: Facts) -> list[str]:
    """Ports of forwards on any address that a process of the host serves too."""
    wanted = {
        (forward.protocol, port): guest.name
        for guest in world.guests
        for forward in guest.forwards
        if forward.listen is None
        for port in range(forward.ports.first, forward.ports.last + 1)
    }
    return [
        f"port {port}/{protocol} is served by a process of the host; while {wanted[protocol, port]} runs, it is "
        f"{wanted[protocol, port]} that answers there"
        for protocol, port in sorted(wanted.keys() & facts.listening)
    ]


def _notices(world: World, facts: Facts) -> tuple[str, ...]:
    notes = []
    domains = {domain.name: domain for domain in facts.domains}
    for guest in world.guests:
        domain = domains.get(guest.name)
        if domain is None:
            notes.append(f"guest {guest.name} is not defined in libvirt yet; all is ready for when it is")
            continue
        for nic in guest.nics:
            if all(other.network != nic.network for other in domain.nics):
                notes.append(
                    f"guest {guest.name} has no NIC on network {nic.network}; "
                    f"attach it: virsh attach-interface {guest.name} network {nic.network} --model virtio --config"
                )
            elif nic.mac and all((other.network, other.mac) != (nic.network, nic.mac) for other in domain.nics):
                notes.append(f"guest {guest.name} has another MAC on network {nic.network} than {nic.mac} in the file")
        notes += _moving(guest, facts)
    notes += _served(world, facts)
    if not facts.libvirt_rules:
        notes.append(
            "libvirt's own firewall rules are gone (flushed?); it puts them back when it starts: restart libvirtd"
        )
    if world.networks and not facts.hooks_loaded:
        notes.append(
            "libvirt looks for hooks only when it starts: restart it once after apply, so that forwards follow guests "
            "that start and stop (systemctl restart libvirtd; running guests keep running)"
        )
    return tuple(notes)
