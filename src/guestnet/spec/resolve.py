"""From the file to the world: every `auto` gets its value, every forward is spelled out. Pure.

The same file and memory give the same world, whatever the order of the file; the memory it returns gives it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from itertools import product
from random import Random
from typing import cast

from guestnet.spec import choose, forwards, models, sharing, world
from guestnet.spec.choose import Taken
from guestnet.spec.memory import GuestMemory, Memory, NetworkMemory
from guestnet.words import modes
from guestnet.words.addresses import HOST_BITS6, PRIVATE, eui64, in_prefix, is_private
from guestnet.words.families import IPV4, IPV6
from guestnet.words.ports import WHOLE

__all__ = ["Taken", "resolve"]

Macs = Mapping[str, tuple[tuple[str, str], ...]]


def resolve(
    spec: models.Spec, memory: Memory, *, random: Random, taken: Taken, macs: Macs
) -> tuple[world.World, Memory]:
    """The world and what is to be remembered of it. `spec` has passed `check`.

    macs: by guest name the (network, MAC) of its NICs as libvirt knows them, for NICs whose MAC the file leaves out.
    Raises GuestnetError when no subnet or address is left.
    """
    hosts4 = _hosts4(spec, memory, taken)
    outsides = {
        name: sharing.outside(network, memory.networks.get(name, NetworkMemory()), taken)
        for name, network in spec.virtual.items()
        if network.ipv6.shared
    }
    ula = memory.ula
    if ula is None and any(map(_draws, spec.virtual.values())):
        ula = choose.new_ula(random)
    hosts6 = _hosts6(spec, memory, taken, ula) | sharing.hosts(spec, memory, outsides)
    bridges = _bridges(spec, memory, taken)
    macs_of_bridges = _bridge_macs(spec, memory, random)
    networks = tuple(
        _network(
            name,
            network,
            (hosts4.get(name), hosts6.get(name)),
            outsides.get(name),
            (bridges[name], macs_of_bridges[name]),
        )
        for name, network in sorted(spec.virtual.items())
    )
    lans = tuple(
        _lan(name, network, bridges.get(name), macs_of_bridges.get(name))
        for name, network in sorted(spec.networks.items())
        if network.on_lan
    )
    known = _macs(spec, macs)
    v4, v6 = _addresses4(spec, memory, networks), _addresses6(spec, memory, networks, known)
    announced = frozenset(network.name for network in networks if network.v6 and network.v6.pool is None)
    guests = tuple(_guest(name, guest, v4, v6, known, announced) for name, guest in sorted(spec.guests.items()))
    guests = tuple(sharing.known_by(guest, outsides) for guest in guests)
    guests = tuple(replace(guest, forwards=_opening(guest.forwards, networks)) for guest in guests)
    desired = world.World(networks, guests, lans)
    return desired, _remember(replace(memory, ula=ula), desired)


def _draws(network: models.Network) -> bool:
    """Whether it has a /64 of the host's ULA."""
    return network.ipv6.address == "auto" and network.ipv6.prefix != "uplink"


def _hosts4(spec: models.Spec, memory: Memory, taken: Taken) -> dict[str, IPv4Interface]:
    """The host's own address in every network that has IPv4."""
    asked = {name: network.ipv4.address for name, network in spec.virtual.items()}
    hosts = {name: address for name, address in asked.items() if isinstance(address, IPv4Interface)}
    auto = [name for name, address in asked.items() if address == "auto"]
    known = {name: one.ipv4 for name, one in memory.networks.items() if one.ipv4}
    subnets = choose.subnets([host.network for host in hosts.values()], auto, known, taken, choose.free_subnet4)
    return hosts | {name: IPv4Interface((net.network_address + 1, net.prefixlen)) for name, net in subnets.items()}


def _hosts6(spec: models.Spec, memory: Memory, taken: Taken, ula: IPv6Network | None) -> dict[str, IPv6Interface]:
    """The host's own address in every network that has IPv6; `ula` is there when one is auto."""
    asked = {name: network.ipv6.address for name, network in spec.virtual.items()}
    hosts = {name: address for name, address in asked.items() if isinstance(address, IPv6Interface)}
    auto = [name for name, network in spec.virtual.items() if _draws(network)]
    known = {name: one.ipv6 for name, one in memory.networks.items() if one.ipv6}
    if ula is None:
        return hosts
    fresh = partial(choose.free_subnet6, ula)
    subnets = choose.subnets([host.network for host in hosts.values()], auto, known, taken, fresh)
    return hosts | {name: IPv6Interface((net.network_address + 1, net.prefixlen)) for name, net in subnets.items()}


def _bridges(spec: models.Spec, memory: Memory, taken: Taken) -> dict[str, str]:
    """Of the networks that have one, by name."""
    names = {name: network.bridge for name, network in spec.networks.items() if network.bridge}
    nameless = sorted(_made_by_us(spec).keys() - names.keys())
    for name in nameless:
        known = memory.networks.get(name, NetworkMemory()).bridge
        if known and known not in names.values():
            names[name] = known
    used = {*names.values(), *(known.bridge for known in memory.networks.values() if known.bridge), *taken.bridges}
    for name in nameless:
        if name in names:
            continue
        names[name] = choose.free_bridge(used)
        used.add(names[name])
    return names


def _made_by_us(spec: models.Spec) -> dict[str, models.Network]:
    """The networks whose bridge comes and goes with them."""
    return {
        name: network
        for name, network in spec.networks.items()
        if not network.on_lan or (network.mode == "bridge" and network.interface)
    }


def _bridge_macs(spec: models.Spec, memory: Memory, random: Random) -> dict[str, str]:
    """Always written: a network defined without one gets another at each definition (guests' neighbour caches)."""
    macs = {name: network.mac for name, network in spec.networks.items() if network.mac}
    without = sorted(_made_by_us(spec).keys() - macs.keys())
    for name in without:
        known = memory.networks.get(name, NetworkMemory()).mac
        if known and known not in macs.values():
            macs[name] = known
    guests = {nic.mac for guest in spec.guests.values() for nic in guest.all_nics if nic.mac}
    used = {*macs.values(), *guests, *(known.mac for known in memory.networks.values() if known.mac)}
    for name in without:
        if name in macs:
            continue
        macs[name] = choose.new_mac(random, used)
        used.add(macs[name])
    return macs


def _network(
    name: str,
    network: models.Network,
    hosts: tuple[IPv4Interface | None, IPv6Interface | None],
    outside: world.Outside | None,
    bridge_and_mac: tuple[str, str],
) -> world.Network:
    v4 = v6 = None
    host4, host6 = hosts
    if host4 is not None:
        pool4 = network.ipv4.ranges[0] if network.ipv4.ranges else choose.pool4(host4)
        v4 = world.Side4(host4, pool4 if network.ipv4.dhcp else None, network.ipv4.lease)
    if host6 is not None:
        first, last = network.ipv6.ranges[0] if network.ipv6.ranges else choose.pool6(host6, host4)
        pool6 = (in_prefix(first, host6), in_prefix(last, host6))
        v6 = world.Side6(host6, pool6 if network.ipv6.dhcp else None, network.ipv6.lease, outside)
    nat = network.nat or models.Nat()
    return world.Network(
        name=name,
        mode=cast("modes.Virtual", network.mode),  # the caller chose it so
        bridge=bridge_and_mac[0],
        mac=bridge_and_mac[1],
        v4=v4,
        v6=v6,
        # Guests that have global addresses need no NAT66: then it is there when the file says so.
        nat6=network.mode == "nat"
        and v6 is not None
        and (network.ipv6.prefix is None if nat.ipv6 is None else nat.ipv6),
        nat_ports=nat.ports,
        host_access=_host_access(network),
        domain=network.domain,
        autostart=network.autostart,
        stp=network.stp is not False,
        guest_isolation=network.guest_isolation,
        open=_open(network),
        deny=_deny(network),
        uplink=network.uplink,
        proxy_arp=network.proxy_arp,
        routes=tuple((route.to, route.via) for route in network.routes),
        forwarders=network.dns.forwarders,
        hosts=tuple((host, address) for host, listed in sorted(network.dns.hosts.items()) for address in listed),
        mtu=network.mtu,
        bandwidth=_bandwidth(network.bandwidth),
    )


def _lan(name: str, network: models.Network, bridge: str | None, mac: str | None) -> world.Lan:
    return world.Lan(
        name=name,
        mode=cast("modes.Lan", network.mode),  # the caller chose it so
        bridge=bridge,
        interface=network.interface,
        macvtap=network.macvtap or "bridge",
        mac=mac if network.interface and bridge else None,
        guest_isolation=network.guest_isolation,
        autostart=network.autostart,
        stp=network.stp is True,
        mtu=network.mtu,
        pf=network.pf,
        devices=network.devices,
        interfaces=network.interfaces,
        vlan=network.vlan,
    )


def _host_access(network: models.Network) -> world.HostAccess:
    if network.host_access is not None:
        return network.host_access
    if network.mode == "isolated":
        return "none"
    return "services" if "host" in network.egress.deny else "full"


def _open(network: models.Network) -> frozenset[int]:
    usual = "open" if network.mode == "routed" else "closed"
    doors = {4: network.inbound.ipv4, 6: network.inbound.ipv6}
    return frozenset(family for family, door in doors.items() if (door or usual) == "open")


def _deny(network: models.Network) -> tuple[forwards.Source, ...]:
    found: list[forwards.Source] = []
    for item in network.egress.deny:
        if not isinstance(item, str):
            found.append(item)
        elif item == "private":
            found += PRIVATE
    return forwards.joined(tuple(found))


def _bandwidth(written: models.Bandwidth) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]:
    sides = (("inbound", written.inbound), ("outbound", written.outbound))
    return tuple(
        (side, tuple((key, value) for key, value in rate.model_dump().items() if value is not None))
        for side, rate in sides
        if rate
    )


Addresses4 = Mapping[tuple[str, str], IPv4Address]
Addresses6 = Mapping[tuple[str, str], IPv6Address]


def _addresses4(spec: models.Spec, memory: Memory, networks: tuple[world.Network, ...]) -> Addresses4:
    """By network and guest."""
    found: dict[tuple[str, str], IPv4Address] = {}
    for network in networks:
        name, side = network.name, network.v4
        if side is None:
            continue
        asked = {guest: nic.ipv4 for guest, nic in _guests_in(spec, name)}
        known = {guest: one.ipv4 for (there, guest), one in memory.guests.items() if there == name and one.ipv4}
        given = choose.assign(asked, known, side.host.network, side.host.ip, side.pool)
        found.update({(name, guest): address for guest, address in given.items()})
    return found


def _addresses6(
    spec: models.Spec, memory: Memory, networks: tuple[world.Network, ...], macs: Mapping[tuple[str, str], str]
) -> Addresses6:
    """By network and guest. Without DHCPv6 a guest makes its address itself (SLAAC), most likely of its MAC."""
    found: dict[tuple[str, str], IPv6Address] = {}
    for network in networks:
        name, side = network.name, network.v6
        if side is None:
            continue
        asked = {guest: nic.ipv6 and in_prefix(nic.ipv6, side.host) for guest, nic in _guests_in(spec, name)}
        known = {guest: one.ipv6 for (there, guest), one in memory.guests.items() if there == name and one.ipv6}
        if side.outside:  # which moves when the uplink's prefix changes; guests keep their own part
            known = {guest: sharing.moved(address, side) for guest, address in known.items()}
        given = choose.assign(asked, known, side.host.network, side.host.ip, side.pool)
        if side.pool is None and side.host.network.prefixlen == HOST_BITS6:  # SLAAC wants that
            made = {guest: macs[name, guest] for guest in asked if guest not in given and (name, guest) in macs}
            given |= {guest: eui64(mac, side.host.network) for guest, mac in made.items()}
        found.update({(name, guest): address for guest, address in given.items()})
    return found


def _macs(spec: models.Spec, macs: Macs) -> dict[tuple[str, str], str]:
    """By network and guest, what the file says or libvirt knows."""
    found: dict[tuple[str, str], str] = {}
    for name, guest in spec.guests.items():
        written = {nic.mac for nic in guest.all_nics}
        spare = [(network, mac.lower()) for network, mac in macs.get(name, ()) if mac.lower() not in written]
        for nic in guest.all_nics:
            mac = nic.mac or next((mac for network, mac in spare if network == nic.network), None)
            if mac:
                found[nic.network, name] = mac
    return found


def _guests_in(spec: models.Spec, network: str) -> list[tuple[str, models.Nic]]:
    nics = ((name, nic) for name, guest in sorted(spec.guests.items()) for nic in guest.all_nics)
    return [(name, nic) for name, nic in nics if nic.network == network]


def _guest(  # noqa: PLR0913, PLR0917  what was chosen, one after the other
    name: str,
    guest: models.Guest,
    v4: Addresses4,
    v6: Addresses6,
    macs: Mapping[tuple[str, str], str],
    announced: frozenset[str],
) -> world.Guest:
    """announced: networks whose IPv6 addresses guests make themselves."""
    nics: list[world.Nic] = []
    for nic in guest.all_nics:
        key = (nic.network, name)
        chosen = frozenset(family for family, its in ((4, nic.ipv4), (6, nic.ipv6)) if its is None)
        slaac = nic.ipv6 is None and key in v6 and nic.network in announced
        nics.append(world.Nic(nic.network, macs.get(key), v4.get(key), v6.get(key), nic.mac is not None, chosen, slaac))
    spelled = [one for forward in guest.forwards if forward.enabled for one in _forwards(forward, tuple(nics))]
    return world.Guest(name, tuple(nics), tuple(sorted(spelled, key=_order)), guest.prefer_ipv6)


def _opening(written: tuple[world.Forward, ...], networks: tuple[world.Network, ...]) -> tuple[world.Forward, ...]:
    """Those to addresses that others know, in a network that is closed, open their port there too."""
    names = {network.name: network for network in networks}
    return tuple(replace(one, opens=_opens(one, names.get(one.network))) for one in written)


def _opens(forward: world.Forward, network: world.Network | None) -> bool:
    if network is None or forward.protocol == WHOLE or forward.target.version in network.open:
        return False
    translated = network.mode == "nat" and (forward.target.version == IPV4 or network.nat6)
    if network.translated and forward.target.version == IPV6:
        return True
    return not translated and not is_private(forward.target)


def _forwards(forward: models.Forward, nics: tuple[world.Nic, ...]) -> list[world.Forward]:
    """One a protocol, listener, source and family: both families that the guest has, unless the file chooses one."""
    nic = next((nic for nic in nics if forward.network in (None, nic.network)), None)
    found: list[world.Forward] = []
    for listen in forward.listeners:
        for target in (nic.ipv4, nic.ipv6) if nic else ():
            wanted = forward.family if listen is None or isinstance(listen, str) else f"ipv{listen.version}"
            if nic is None or target is None or wanted not in ("both", f"ipv{target.version}"):
                continue
            for protocol, source in product(forwards.protocols(forward.protocol), forward.admitted(target.version)):
                found.append(
                    world.Forward(
                        protocol=protocol,
                        listen=listen,
                        ports=forward.ports,
                        to=forward.target,
                        target=target,
                        network=nic.network,
                        description=forward.description,
                        loopback=forward.loopback,
                        source=None if source in models.EVERYBODY.values() else source,
                    )
                )
    return found


def _order(forward: world.Forward) -> tuple[int, int, str, int, str, str]:
    """By port, whatever the order of the file."""
    return (
        forward.ports.first,
        forward.ports.last,
        forward.protocol,
        forward.target.version,
        str(forward.listen or ""),
        str(forward.source or ""),
    )


def _remember(memory: Memory, desired: world.World) -> Memory:
    networks, guests = dict(memory.networks), dict(memory.guests)
    for network in desired.networks:
        old = networks.get(network.name, NetworkMemory())
        ipv4 = network.v4.host.network if network.v4 else old.ipv4
        ipv6 = network.v6.host.network if network.v6 else old.ipv6
        outside = network.v6.outside if network.v6 else None
        shared = (outside.nic, outside.prefix) if outside and outside.nic else (old.uplink, old.prefix)
        networks[network.name] = NetworkMemory(ipv4, ipv6, network.bridge, network.mac, *shared)
    for lan in desired.lans:
        if lan.mac:
            networks[lan.name] = NetworkMemory(bridge=lan.bridge, mac=lan.mac)
    for guest in desired.guests:
        for nic in guest.nics:
            known = guests.get((nic.network, guest.name), GuestMemory())
            guests[nic.network, guest.name] = GuestMemory(nic.ipv4 or known.ipv4, nic.ipv6 or known.ipv6)
    return replace(memory, networks=networks, guests=guests)
