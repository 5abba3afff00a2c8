"""What somebody else has on this host and the file wants too. Nothing of theirs is ever changed. Pure.

A conflict is a problem, and nothing is applied, when our network could not work or would take something from others.
What only somebody may want to know is told by `beside`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from guestnet.compile import netlive, netxml
from guestnet.decide import acceptra, oldhook, outside, passthrough, served
from guestnet.decide.facts import Facts, ForeignNetwork, Route, Session
from guestnet.decide.state import Change, Key, State
from guestnet.decide.state import Network as LiveNetwork
from guestnet.spec.choose import Subnet, overlaps
from guestnet.spec.world import Lan, Network, World
from guestnet.words.families import IPV6
from guestnet.words.ports import WHOLE
from guestnet.words.problems import Problem

_SUBNET = "choose another subnet in the file"
_BRIDGE = "choose another bridge: in the file, or leave it out"


def conflicts(world: World, facts: Facts, live: State, changes: tuple[Change, ...]) -> tuple[Problem, ...]:
    found: list[Problem] = []
    starting = [change.key.name for change in changes if _starts(change)]
    if starting and not facts.libvirt_rules:
        # A network that runs would be stopped, and could not even be started again as it was.
        what = f"network {', '.join(starting)} can not be started: libvirt's own firewall chains are gone (flushed?)"
        found.append(Problem(what, "restart libvirtd, which makes them anew, then apply again"))
    routers = [network.name for network in world.networks if network.v6 and network.mode != "isolated"]
    found += acceptra.problems(facts, changes, [name for name in starting if name in routers])
    for network in world.networks:
        found += _names(network, world, facts, live)
        for subnet in _subnets(network):
            found += _connected(network, subnet, facts)
            found += _moved(network, subnet, world, facts)
            found += _routes(network, subnet, facts)
            found += _starting(network, subnet, facts)
    for lan in world.lans:
        found += _lan(lan, world, facts)
    found += outside.problems(world, facts, live)
    found += _session(world, facts)
    found += oldhook.problems(world, facts)
    found += served.problems(world, facts, live)
    if facts.foreign_table and world.networks:
        what = "the firewall has a table inet guestnet that somebody else made (it has no mark of ours)"
        found.append(Problem(what, "rename it, or remove it: nft delete table inet guestnet"))
    return tuple(found)


def _adopt(network: str) -> str:
    return f"give yours another name in the file, or take that one over: {shlex.join(['guestnet', 'adopt', network])}"


def _starts(change: Change) -> bool:
    """Whether libvirt starts a network for it that has firewall rules."""
    before = change.before.running if isinstance(change.before, LiveNetwork) else None
    after = change.after.running if isinstance(change.after, LiveNetwork) else None
    stays = before is not None and netlive.live(before, after)
    return after is not None and not stays and bool(netxml.own_bridge(after))


# Who makes bridges of these names, and fills their tables: a guest there would be in the middle of it.
_OTHERS = {
    "docker": "docker",
    "br-": "docker",
    "lxcbr": "LXC",
    "lxdbr": "LXD",
    "incusbr": "incus",
    "cni": "a CNI",
    "podman": "podman",
}


def _lan(lan: Lan, world: World, facts: Facts) -> Iterator[Problem]:
    """What a network on the LAN needs: a bridge that is there, or a NIC that is nobody's."""
    what = f"network {lan.name} of mode {lan.mode}"
    if any(other.name == lan.name for other in facts.networks):
        yield Problem(f"network {lan.name} exists in libvirt and is not guestnet's", _adopt(lan.name))
    for name in (*((lan.interface,) if lan.interface else ()), *lan.interfaces):
        yield from _interface(lan, name, what, facts)
    yield from passthrough.problems(lan, world, facts)
    if not lan.bridge:
        return
    bridge = facts.nic(lan.bridge)
    owner = next((other.name for other in facts.networks if other.bridge == lan.bridge and other.makes_bridge), None)
    maker = next((maker for start, maker in _OTHERS.items() if lan.bridge.startswith(start)), None)
    if lan.interface:
        if bridge is not None and not bridge.ours:
            yield Problem(f"{what}: {lan.bridge} exists already, and guestnet did not make it", _BRIDGE)
    elif bridge is None:
        yield Problem(f"{what}: there is no bridge {lan.bridge}", "make it, or write interface: and a spare NIC")
    elif bridge.kind != "bridge":
        yield Problem(
            f"{what}: {lan.bridge} is no bridge", f"write interface: {lan.bridge} instead, if it is a spare NIC"
        )
    elif owner is not None:
        yield Problem(f"{what}: {lan.bridge} is the bridge of libvirt's network {owner}", "attach guests to that one")
    elif maker is not None:
        yield Problem(f"{what}: {lan.bridge} is {maker}'s bridge", "use one of your own")


def _interface(lan: Lan, name: str, what: str, facts: Facts) -> Iterator[Problem]:
    nic = facts.nic(name)
    addresses = [str(address.ip) for link, address in facts.addresses if link == name]
    if nic is None:
        others = ", ".join(sorted(other.name for other in facts.nics if other.kind not in ("bridge", "tun")))
        yield Problem(f"{what}: there is no NIC {name}", f"there are: {others}")
        return
    if nic.master and nic.master != lan.bridge:
        yield Problem(
            f"{what}: {name} is in {nic.master} already", f"use bridge: {nic.master}, or take it out of there"
        )
    if lan.mode == "macvtap":
        return
    if nic.kind == "bridge":
        todo = f"write mode: bridge and bridge: {name}" if lan.mode == "passthrough" else f"write bridge: {name}"
        yield Problem(f"{what}: {name} is a bridge itself", todo)
    elif nic.wireless:
        todo = "use mode nat or routed: access points drop frames with MACs they do not know"
        yield Problem(f"{what}: {name} is wireless, and cannot be in a bridge or a guest's", todo)
    elif addresses or any(uplink.nic == name for uplink in facts.uplinks):
        has = f"has the host's own {', '.join(addresses)}" if addresses else "has the host's default route"
        todo = f"make a bridge by hand that has {name} and its addresses, and write bridge:; or use mode macvtap"
        if lan.mode == "passthrough":
            todo = "use a NIC without them, or mode macvtap, which leaves the host its own"
        yield Problem(f"{what}: {name} {has}; the host would lose its network", todo)


def _session(world: World, facts: Facts) -> Iterator[Problem]:
    """A forward that would take the port through which whoever applies is logged in: the session goes on, and the next
    one from there ends in a guest."""
    found = (problem for session in facts.own_sessions for problem in _taken(session, world, facts))
    yield from dict.fromkeys(found)


def _taken(session: Session, world: World, facts: Facts) -> Iterator[Problem]:
    address, port = session.address, session.port
    nics = {link for link, own in facts.addresses if own.ip == address}
    for guest in world.guests:
        for forward in guest.forwards:
            here = forward.listen in (None, address) or forward.listen in nics
            caught = forward.protocol == WHOLE or (forward.protocol == "tcp" and port in forward.ports)
            caught = caught and (forward.source is None or session.client in forward.source)
            if here and caught and forward.target.version == address.version:
                what = "the whole address" if forward.protocol == WHOLE else f"port {forward.ports}/tcp"
                yield Problem(
                    f"{what} goes to guest {guest.name}, and this session came in at {address} port {port}: the next "
                    "one would end in the guest",
                    "take another port or address; or apply it from the console, if that is what you want",
                )


def beside(world: World, facts: Facts) -> Iterator[str]:
    """Subnets that others have too, where both can be, with what that costs."""
    for network in world.networks:
        for subnet in _subnets(network):
            for other in facts.networks:
                if _stopped(other, network, subnet) and not other.autostart:
                    yield (
                        f"{subnet} of network {network.name} is also in libvirt's network {other.name}, which does "
                        f"not run; only one of the two can: {_SUBNET}, or remove that one: "
                        f"{shlex.join(['virsh', 'net-undefine', other.name])}"
                    )
            new = all(address.network != subnet for link, address in facts.addresses if link == network.bridge)
            for route in facts.routes:
                # What is unreachable anyway loses nothing
                here = _answered_on(network, route.link, subnet.version) and not route.gateway
                if new and route.kind == "unicast" and _holds(route, subnet) and not route.first and not here:
                    yield (
                        f"{subnet} of network {network.name} lies in the {route}: that works, but what has these "
                        "addresses over there can no longer be reached from this host"
                    )


def _subnets(network: Network) -> list[Subnet]:
    return [side.host.network for side in (network.v4, network.v6) if side]


def _names(network: Network, world: World, facts: Facts, live: State) -> Iterator[Problem]:
    foreign = {other.name for other in facts.networks}
    bridges = {other.bridge: other.name for other in facts.networks if other.bridge}
    owner = _owner(network, live)
    if network.name in foreign:
        what = f"network {network.name} exists in libvirt and is not guestnet's"
        yield Problem(
            what, f"give yours another name in the file, or take that one over: guestnet adopt {network.name}"
        )
    elif network.bridge in bridges:
        what = f"bridge {network.bridge} of network {network.name} is used by libvirt's network "
        yield Problem(what + bridges[network.bridge], _BRIDGE)
    elif owner in {other.name for other in world.networks}:
        # Networks change one after the other, and libvirt refuses one that takes what another still has.
        what = f"bridge {network.bridge} of network {network.name} is still that of network {owner}"
        yield Problem(what, f"give {owner} another one first, and apply; then this")
    elif owner is None and network.bridge in facts.links and Key("network", network.name) not in live:
        yield Problem(f"bridge {network.bridge} of network {network.name} exists on the host already", _BRIDGE)


def _owner(network: Network, live: State) -> str | None:
    """The other network of ours that has the bridge now."""
    for key, thing in live.items():
        running = thing.running if isinstance(thing, LiveNetwork) and key.name != network.name else None
        if running and netxml.bridge(running) == network.bridge:
            return key.name
    return None


def _moved(network: Network, subnet: Subnet, world: World, facts: Facts) -> Iterator[Problem]:
    """A subnet that another network of ours still has, and gives up."""
    others = {other.bridge: other.name for other in world.networks if other.name != network.name}
    for link, address in facts.addresses:
        if link in others and address.version == subnet.version and address.network.overlaps(subnet):
            what = f"{subnet} of network {network.name} is still that of network {others[link]}"
            yield Problem(what, f"give {others[link]} another one first, and apply; then this")


def _connected(network: Network, subnet: Subnet, facts: Facts) -> Iterator[Problem]:
    for link, other in facts.subnets:
        inside = subnet.prefixlen > other.prefixlen and _answered_on(network, link, subnet.version)
        if inside or link == network.bridge or subnet.version != other.version:
            continue  # a part of the uplink's own subnet is what proxy ARP is for, and the NDP proxy
        if subnet.overlaps(other):
            yield Problem(f"{subnet} of network {network.name} overlaps {other} on {link}", _SUBNET)


def _answered_on(network: Network, link: str, family: int) -> bool:
    """Whether the host answers for the network's guests there."""
    shared = network.v6.outside if network.v6 and family == IPV6 else None
    return (network.proxy_arp and link == network.uplink) or (shared is not None and link == shared.nic)


def _routes(network: Network, subnet: Subnet, facts: Facts) -> Iterator[Problem]:
    """Routes that would take packets for our guests elsewhere.

    The longest prefix wins, so that is one as long as ours (libvirt, too, refuses to start a network then) or longer;
    one that is shorter only where a rule sends packets to its table before they come to main, where ours is.
    """
    for route in facts.routes:
        if route.link == network.bridge or route.subnet.version != subnet.version:
            continue
        if route.subnet.network_address in subnet and route.subnet.prefixlen >= subnet.prefixlen:
            what = f"{subnet} of network {network.name} overlaps the {route}"
            yield Problem(what, f"{_SUBNET}, or remove that route")
        elif _holds(route, subnet) and route.first:
            what = f"{subnet} of network {network.name} lies in the {route}, which is asked before the main table"
            yield Problem(what, f"{_SUBNET}, or change that route or its rule (ip rule)")


def _holds(route: Route, subnet: Subnet) -> bool:
    """Whether it is a shorter route that goes for our addresses too, and no default route."""
    return route.subnet.prefixlen < subnet.prefixlen and overlaps(subnet, [route.subnet])


def _starting(network: Network, subnet: Subnet, facts: Facts) -> Iterator[Problem]:
    """Networks of others that do not run now, but will: at the next boot the first of the two to start wins."""
    for other in facts.networks:
        if _stopped(other, network, subnet) and other.autostart:
            what = f"{subnet} of network {network.name} is also in libvirt's network {other.name}, which starts at boot"
            keep = shlex.join(["virsh", "net-autostart", other.name, "--disable"])
            yield Problem(what, f"{_SUBNET}, or keep that one from it: {keep}")


def _stopped(other: ForeignNetwork, network: Network, subnet: Subnet) -> bool:
    """Whether a network of somebody else that does not run has our addresses; of one that runs, its bridge tells."""
    return not other.running and other.name != network.name and overlaps(subnet, other.subnets)
