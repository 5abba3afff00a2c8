"""What the host's own processes serve, where a forward wants the same: who answers then, and what can't work. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from guestnet.compile.loopback import START
from guestnet.decide.facts import Facts, Listener
from guestnet.decide.state import Key, Proxy, State
from guestnet.spec.world import Forward, World
from guestnet.words.families import IPV4, IPV6
from guestnet.words.ports import WHOLE
from guestnet.words.problems import Problem

_OWN_SERVICES = (53, 67, 547)  # DNS and DHCP on our bridges: only a forward on that very address takes them
_EPHEMERAL = 32768  # UDP ports from here on are mostly of clients (net.ipv4.ip_local_port_range)


def notes(world: World, facts: Facts) -> list[str]:
    return [*_ports(world, facts), *_whole_addresses(world, facts)]


def problems(world: World, facts: Facts, live: State) -> Iterator[Problem]:
    """A proxy of ours that could not listen on [::1], because somebody does."""
    for port, (listener, guest) in sorted(_blocked(world, facts).items()):
        mine = live.get(Key("proxy", f"{START}{port}"))
        if not (isinstance(mine, Proxy) and mine.active):
            what = f"port {port} of [::1] is served by a process of the host{_program(listener, facts)}, and guest "
            what += f"{guest} has a forward of it with loopback: true"
            yield Problem(what, "take another port, keep the service from [::1], or remove loopback")


def sockets(world: World, facts: Facts) -> frozenset[int]:
    """Those that notes and problems would like to know the processes of."""
    found = {listener.inode for _, _, listener in _taken(world, facts)}
    return frozenset(found | {listener.inode for listener, _ in _blocked(world, facts).values()})


def _taken(world: World, facts: Facts) -> Iterator[tuple[str, Forward, Listener]]:
    """Who answers instead of which socket, by which forward."""
    by_port: dict[int, list[Listener]] = defaultdict(list)
    for listener in facts.listening:
        by_port[listener.port].append(listener)
    for guest in world.guests:
        for forward in guest.forwards:
            for listener in _on(forward, by_port):
                if forward.protocol in (WHOLE, listener.protocol) and _takes(forward, listener, world, facts):
                    yield guest.name, forward, listener


def _on(forward: Forward, by_port: Mapping[int, Sequence[Listener]]) -> Iterator[Listener]:
    """Those on its ports: there may be thousands of forwards, and of ports in one."""
    ports = forward.ports
    few = range(ports.first, ports.last + 1) if len(ports) < len(by_port) else by_port
    return (listener for port in few if port in ports for listener in by_port.get(port, ()))


def _ports(world: World, facts: Facts) -> list[str]:
    found = {}
    for guest, forward, listener in _taken(world, facts):
        if forward.protocol != WHOLE:
            where = _where(forward, listener)
            port = f"port {listener.port}/{listener.protocol}{f' at {where}' if where else ''}"
            # IPv4 and IPv6 of one service are two sockets
            found[listener.port, listener.protocol, where] = (
                f"{port} is served by a process of the host{_program(listener, facts)}; while {guest} runs, it is "
                f"{guest} that answers there"
            )
    return [line for _, line in sorted(found.items())]


def _whole_addresses(world: World, facts: Facts) -> list[str]:
    """In one line: most services of a host are on each of its addresses."""
    found: dict[tuple[str, str], dict[tuple[int, str], str]] = {}
    for guest, forward, listener in _taken(world, facts):
        if forward.protocol == WHOLE and (listener.protocol == "tcp" or listener.port < _EPHEMERAL):
            port = f"{listener.port}/{listener.protocol}{_program(listener, facts)}"
            found.setdefault((guest, str(forward.listen)), {})[listener.port, listener.protocol] = port
    return [
        f"what the host itself serves at {address} is {guest}'s while that runs: {'; '.join(ports.values())}"
        for (guest, address), some in sorted(found.items())
        for ports in [dict(sorted(some.items()))]
    ]


def _program(listener: Listener, facts: Facts) -> str:
    program = facts.programs.get(listener.inode)
    return f", {program}" if program else ""


def _blocked(world: World, facts: Facts) -> dict[int, tuple[Listener, str]]:
    """Ports that a unit of ours is to listen on at [::1], and somebody has there, or on every address of IPv6."""
    if not facts.systemd:
        return {}
    theirs = {
        listener.port: listener
        for listener in facts.listening
        if listener.protocol == "tcp"
        and listener.address.version == IPV6
        and (listener.address.is_loopback or listener.address.is_unspecified)
    }
    return {
        port: (listener, guest.name)
        for guest in world.guests
        for forward in guest.forwards
        for port, listener in theirs.items()
        if forward.loopback and forward.protocol == "tcp" and port in forward.ports
    }


def _where(forward: Forward, listener: Listener) -> str:
    if forward.listen is not None and not listener.address.is_loopback:
        return str(forward.listen)
    return "" if listener.address.is_unspecified else str(listener.address)


def _takes(forward: Forward, listener: Listener, world: World, facts: Facts) -> bool:
    address = listener.address
    if address.is_loopback:  # of ::1 nothing is taken
        return forward.loopback and address.version == forward.target.version == IPV4
    if address.is_unspecified:
        # On :: most take IPv4 too.
        return address.version == forward.target.version or (address.version == IPV6 and not listener.only6)
    if forward.listen == address:
        return True
    if address.version != forward.target.version:
        return False
    sides = [side.host.ip for network in world.networks for side in (network.v4, network.v6) if side]
    if address in sides and listener.port in _OWN_SERVICES:
        return False
    on = {link for link, own in facts.addresses if own.ip == address}
    return bool(on) if forward.listen is None else forward.listen in on
