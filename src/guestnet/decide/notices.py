"""What the reader of a plan or a status should know, and nothing forbids. Each says what to do about it. Pure."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator

from guestnet.decide import lan, legacy, oldhook, outside, passthrough, served, upstream, whole
from guestnet.decide.conflicts import beside
from guestnet.decide.facts import Domain, DomainNic, Facts
from guestnet.decide.whereabouts import by_itself, elsewhere, met
from guestnet.spec.world import Guest, Nic, World
from guestnet.words.ports import WHOLE


def notices(world: World, facts: Facts) -> tuple[str, ...]:
    found = [note for guest in world.guests for note in _guest(guest, world, facts)]
    found += _by_slaac(world, facts)
    found += _same_macs(world, facts)
    found += _absent(world, facts)
    found += served.notes(world, facts)
    found += beside(world, facts)
    found += lan.notes(world, facts)
    found += passthrough.notes(world, facts)
    found += upstream.notes(world, facts)
    found += outside.notes(world, facts)
    found += _loopback(world, facts)
    found += oldhook.notes(world, facts)
    found += _firewalld(world, facts)
    found += legacy.notes(world, facts)
    found += libvirt_gone(facts)
    if world.networks and not facts.hooks_loaded:
        found.append(
            "libvirt looks for hooks only when it starts: restart it once after apply, so that forwards follow guests "
            "that start and stop (systemctl restart libvirtd; running guests keep running)"
        )
    return tuple(found)


def libvirt_gone(facts: Facts) -> Iterator[str]:
    """What apply does not mend, because the rules are libvirt's."""
    mend = "(flushed?); it puts them back when it starts: restart libvirtd"
    if not facts.libvirt_rules:
        yield f"libvirt's own firewall rules are gone {mend}"
    elif facts.libvirt_lacks:
        yield f"libvirt's own firewall rules are gone from {facts.libvirt_lacks} {mend}"


def _firewalld(world: World, facts: Facts) -> Iterator[str]:
    if facts.others.panic:
        yield "firewalld is in panic mode and drops everything: firewall-cmd --panic-off"
    if not facts.others.firewalld or facts.others.zones is None:
        return
    zones = dict(facts.others.zones)
    for network in world.networks:
        # One that does not run yet: libvirt puts it into a zone when it starts it.
        if network.bridge in facts.links and network.bridge not in zones:
            yield (
                f"network {network.name}: {network.bridge} is in no zone of firewalld, which so rejects its guests' "
                f"new connections out, and their DNS: {mend_zone(network.bridge, network.mode)}"
            )


def mend_zone(bridge: str, mode: str, zone: str | None = None) -> str:
    """libvirt puts its bridges into one when it starts a network and firewalld runs; unless D-Bus was not there yet."""
    better = "libvirt-routed" if mode == "routed" else "libvirt"
    verb = f"--change-interface={bridge}" if zone else f"--add-interface={bridge}"
    return f"firewall-cmd --zone={better} {verb}; and the same with --permanent"


def _loopback(world: World, facts: Facts) -> Iterator[str]:
    """What 127.0.0.1 and ::1 of the host do not give a guest."""
    wanted = [(guest.name, forward) for guest in world.guests for forward in guest.forwards if forward.loopback]
    for name in dict.fromkeys(name for name, _ in wanted):
        protocols = {forward.protocol for guest, forward in wanted if guest == name}
        yield f"guest {name} sees the host as client of what comes by its loopback, not the program that asked"
        if "udp" in protocols:
            yield f"guest {name}: UDP to [::1] is not served: no packet from or to it can be translated"
        if "tcp" in protocols and not facts.systemd:
            yield f"guest {name}: [::1] is not served, because its proxy is a unit and systemd does not run here"


def _guest(guest: Guest, world: World, facts: Facts) -> Iterator[str]:
    domain = next((domain for domain in facts.domains if domain.name == guest.name), None)
    if domain is None:
        yield _not_defined(guest, facts)
        return
    for nic in guest.nics:
        there = [other for other in domain.nics if other.network == nic.network]
        if not there:
            yield _not_attached(domain, nic, _bridge(world, nic))
        elif nic.mac and all(other.mac != nic.mac for other in there):
            has = ", ".join(other.mac for other in there)
            yield (
                f"guest {guest.name} has the MAC {has} on network {nic.network}, and {nic.mac} in the file: it gets "
                "another address than the reserved one; write its MAC in the file, or leave mac out"
            )
    yield from _moving(guest, facts)


def _not_defined(guest: Guest, facts: Facts) -> str:
    """Forwards follow the name; a domain that has the guest's MAC is most likely the guest, renamed."""
    macs = {nic.mac for nic in guest.nics if nic.mac}
    for domain in facts.domains:
        for nic in domain.nics:
            if nic.mac in macs:
                back = shlex.join(["virsh", "domrename", domain.name, guest.name])
                return (
                    f"guest {guest.name} is not defined in libvirt, but domain {domain.name} has its MAC {nic.mac}; "
                    "forwards follow the name: "
                    f"if that is the guest, write {domain.name} in the file, or rename it back: {back}"
                )
    return f"guest {guest.name} is not defined in libvirt yet; all is ready for when it is"


def _not_attached(domain: Domain, nic: Nic, bridge: str) -> str:
    own = next((other for other in domain.nics if other.bridge and other.bridge == bridge), None)
    if own is not None:
        edit = shlex.join(["virsh", "edit", domain.name])
        return (
            f"guest {domain.name} is plugged into bridge {bridge} itself, not into network {nic.network}: "
            "when somebody else than apply restarts the network it is cut off, and it gets its reserved address only "
            f"with its MAC in the file ({own.mac}); make it <interface type='network'> with "
            f"<source network='{nic.network}'/>: {edit}"
        )
    attach = ["virsh", "attach-interface", domain.name, "network", nic.network, "--model", "virtio"]
    attach += ["--mac", nic.mac] if nic.mac and nic.written else []
    attach += ["--live", "--config"] if domain.running else ["--config"]
    return f"guest {domain.name} has no NIC on network {nic.network}; attach it: {shlex.join(attach)}"


def _moving(guest: Guest, facts: Facts) -> list[str]:
    """An address that changes under a running guest holds from its next lease on."""
    if not any(domain.name == guest.name and domain.running for domain in facts.domains):
        return []
    has = elsewhere(guest, facts)
    moved = {(one.target, has[key]) for one in guest.forwards if (key := (one.network, one.target.version)) in has}
    own = {has[nic.network, family] for nic in guest.nics for family in (4, 6) if by_itself(nic, family, has, facts)}
    return [
        f"guest {guest.name} has set its address itself, {old}, and does not ask for {new}: its forwards follow it as "
        f"long as it runs; write it in the file, ipv{old.version}: {old}"
        if old in own
        else f"guest {guest.name} moves from {old} to {new} at its next lease (or restart); until then its forwards "
        f"follow {old}. Apply again once it has moved"
        for new, old in sorted(moved, key=str)
    ]


def _by_slaac(world: World, facts: Facts) -> Iterator[str]:
    """Forwards to addresses that guests make themselves, as long as none was seen: it may be another."""
    for network in world.networks:
        unseen = [
            f"{guest.name} {nic.ipv6}"
            for guest in world.guests
            for nic in guest.nics
            if nic.network == network.name
            and nic.slaac
            and not met(nic, 6, facts)
            and any(forward.target == nic.ipv6 for forward in guest.forwards)
        ]
        if unseen:
            yield (
                f"network {network.name} has no DHCPv6: guests make their IPv6 addresses themselves, and forwards go "
                f"to what a MAC makes (EUI-64): {', '.join(unseen)}. One that makes private ones (RFC 7217: "
                "NetworkManager, dhcpcd, Windows) has another, which the forwards follow from the next apply on, once "
                "the host has met it; to have the predicted one, in the guest: nmcli connection modify NAME "
                "ipv6.addr-gen-mode eui64, or `slaac hwaddr` in dhcpcd.conf"
            )


def _same_macs(world: World, facts: Facts) -> list[str]:
    """Two domains with one MAC in one network would have one address."""
    found: dict[tuple[str, frozenset[str]], str] = {}
    defined = {domain.name for domain in facts.domains}
    having: dict[str, list[Domain]] = defaultdict(list)
    for domain in facts.domains:
        for mac in sorted({other.mac for other in domain.nics}):
            having[mac].append(domain)
    for guest in world.guests:
        for nic in guest.nics:
            for domain in having.get(nic.mac, ()) if nic.mac and guest.name in defined else ():
                if domain.name != guest.name and any(_same(nic, other, _bridge(world, nic)) for other in domain.nics):
                    addresses = " and ".join(str(address) for address in (nic.ipv4, nic.ipv6) if address)
                    key = (f"{nic.network} {nic.mac}", frozenset((guest.name, domain.name)))
                    found.setdefault(
                        key,
                        f"domain {domain.name} has the MAC {nic.mac} of guest {guest.name}, in network {nic.network} "
                        f"too: both would get {addresses or 'the same address'}; give one of them another MAC: "
                        f"{shlex.join(['virsh', 'edit', domain.name])}",
                    )
    return list(found.values())


def _same(nic: Nic, other: DomainNic, bridge: str) -> bool:
    return other.mac == nic.mac and (other.network == nic.network or (bool(bridge) and other.bridge == bridge))


def _bridge(world: World, nic: Nic) -> str:
    return next((network.bridge for network in world.networks if network.name == nic.network), "")


def _absent(world: World, facts: Facts) -> list[str]:
    """Listen addresses and NICs that the host does not have now; it may get them yet: VRRP, a slow DHCP, PPP."""
    found: dict[tuple[str, str, str], list[str]] = {}
    notes: list[str] = []
    for guest in world.guests:
        for forward in guest.forwards:
            if forward.listen is None or whole.has(forward.listen, world, facts):
                continue
            if forward.protocol == WHOLE:
                notes.append(
                    f"the host does not have {forward.listen}, which is to be guest {guest.name}'s as a whole: nothing "
                    f"comes to {guest.name} by it until the host has it, and what {guest.name} opens to others has the "
                    "host's own address until an apply after that; give the host that address and apply again, or "
                    "correct the file"
                )
                continue
            thing = f"NIC {forward.listen}" if isinstance(forward.listen, str) else str(forward.listen)
            give = "make that NIC" if isinstance(forward.listen, str) else "give the host that address"
            ports = found.setdefault((guest.name, thing, give), [])
            ports.append(f"{forward.ports}/{forward.protocol}")
    return notes + [
        f"the host does not have {thing}, where guest {guest} has forwards ({', '.join(dict.fromkeys(ports))}): "
        f"they work as soon as it has; {give}, or correct the file"
        for (guest, thing, give), ports in found.items()
    ]
