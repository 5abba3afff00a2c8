"""The table `inet guestnet`: static chains, and the elements that forwards are.

A forward is elements of maps, never a rule: the cost of a packet and of a change does not grow with their number.
These rule forms were tried with packets on nft 1.0.6, kernel 6.18, libvirt 9.0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from guestnet.compile import chains, nft, translation
from guestnet.compile.chains import FAMILIES, MARK, Kind
from guestnet.compile.doors import Door, apart
from guestnet.spec.world import Address, Forward, Network, Subnet, World
from guestnet.words.addresses import network_text
from guestnet.words.families import IPV4, IPV6

MAPS = chains.MAPS
COMMENT = "guestnet 1"  # how our table is told from somebody else's of the same name

# A range to the same ports is one element of a map of intervals from this many ports on. Below, each port is one of a
# hash map: lookups in 10,000 intervals have half the rate of a hash map's, and deleting one takes 755 ms (nft 1.0.6).
LARGE = 256
FLOW_SETS = tuple(f"{chains.FLOWS}{family}" for family in FAMILIES)
FLOWS = tuple(f"\tset {name} " for name in FLOW_SETS)  # how nft lists them


_SETS = {
    **dict.fromkeys(("bridges", "isolated", "closed4", "closed6", "guarded", "services"), Kind("ifname")),
    **dict.fromkeys(("same", "apart"), Kind("ifname . ifname")),
    **{f"own{family}": Kind(addr) for family, (_, addr) in FAMILIES.items()},
    **{f"guests{family}": Kind(addr, interval=True) for family, (_, addr) in FAMILIES.items()},
    **{f"denied{family}": Kind(f"ifname . {addr}", interval=True) for family, (_, addr) in FAMILIES.items()},
}


def table(world: World) -> str:
    """The transaction that installs the table, with no forward in it yet."""
    lines = [f'comment "{COMMENT}"', ""]
    # A `counter` of a map counts lookups that find something: of a nat chain, so connections. It costs nothing.
    maps = (nft.named_map(name, kind.type, interval=kind.interval, counter=True) for name, kind in MAPS.items())
    flows = (
        nft.counting_set(f"{chains.FLOWS}{family}", f"{addr} . {chains.PORT}") for family, (_, addr) in FAMILIES.items()
    )
    sets = _sets(world.networks)
    filled = {name for name, items in sets.items() if items} | _asked(world)
    named = (
        nft.named_set(name, _SETS[name].type, items, interval=_SETS[name].interval) for name, items in sets.items()
    )
    prefixes = translation.named(world.networks)
    for part in (*named, *prefixes, *maps, *flows, *chains.chains(filled, world.networks)):
        lines += [*part, ""]
    return nft.replace_table(lines[:-1])


def elements(forwards: Iterable[Forward]) -> nft.Elements:
    """Map name -> elements. A shifted range is expanded, one element a port: in one element it loads and silently sends
    every port to the first (nft 1.0.6)."""
    found: dict[str, set[str]] = defaultdict(set)
    sources: set[Address] = set()
    forwards = tuple(forwards)
    for forward in forwards:
        family = forward.target.version
        if forward.protocol == "all":
            found[f"whole{family}"].add(f"{forward.listen} : {forward.target}")
            if forward.outwards and forward.target not in sources:  # it can be only one to the outside: the first
                found[f"source{family}"].add(f"{forward.target} : {forward.listen}")
                sources.add(forward.target)
            continue
        kind, listener = _listener(forward)
        source = f"{network_text(forward.source)} . " if forward.source else ""
        name = f"{kind}{'_from' if forward.source else ''}"
        if forward.ports == forward.to and len(forward.ports) >= LARGE:
            key = f"{source}{listener}{forward.protocol} . {forward.ports}"
            found[f"{name}_range{family}"].add(f"{key} : {forward.target}")
        else:
            for shift in range(len(forward.ports)):
                key = f"{source}{listener}{forward.protocol} . {forward.ports.first + shift}"
                found[f"{name}{family}"].add(f"{key} : {forward.target} . {forward.to.first + shift}")
        if forward.loopback and family == IPV4:  # [::1]: see compile.loopback
            for shift in range(len(forward.ports)):
                key = f"{forward.protocol} . {forward.ports.first + shift}"
                found["loop4"].add(f"{key} : {forward.target} . {forward.to.first + shift}")
    for name, item in _doors(forwards):
        found[name].add(item)
    return {name: tuple(sorted(items)) for name, items in sorted(found.items())}


def _doors(forwards: Iterable[Forward]) -> Iterator[tuple[str, str]]:
    """Map and element of what is open at guests' own addresses."""
    doors: dict[tuple[Address, str], list[Door]] = defaultdict(list)
    for forward in forwards:
        if forward.opens:
            doors[forward.target, forward.protocol].append((forward.source, forward.to))
    for (target, protocol), those in doors.items():
        for network, ports in apart(those):
            name, start = ("open", "") if network is None else ("open_from", f"{network_text(network)} . ")
            yield f"{name}{target.version}", f"{start}{target} . {protocol} . {ports} : accept"


def _asked(world: World) -> set[str]:
    """The maps that its forwards are elements of: found with one forward of each shape, there may be thousands."""
    shapes: dict[object, Forward] = {}
    for forward in (forward for guest in world.guests for forward in guest.forwards):
        large = forward.ports == forward.to and len(forward.ports) >= LARGE
        kind = forward.target.version, forward.protocol == "all", type(forward.listen), forward.source is None
        shapes.setdefault((kind, large, forward.opens, forward.loopback), forward)
    asked = set(elements(shapes.values()))
    served = any(_takes_services(forward) for guest in world.guests for forward in guest.forwards)
    # Where there are forwards, `reach --probe` makes one on any address for the time of its measurement.
    anywhere = {f"any{family}" for family in FAMILIES if any(name[-1] == str(family) for name in asked)}
    return asked | anywhere | ({chains.SERVED} if served else set())


def _takes_services(forward: Forward) -> bool:
    """Whether it would take guests' DNS or DHCP to the host, if nothing kept it from that."""
    anywhere = forward.listen is None or isinstance(forward.listen, str)
    return anywhere and any(port in forward.ports for port in chains.SERVICES)


def _listener(forward: Forward) -> tuple[str, str]:
    """The kind of map, and the part of the key."""
    if isinstance(forward.listen, str):
        return "nic", f"{nft.quoted(forward.listen)} . "
    return ("on", f"{forward.listen} . ") if forward.listen else ("any", "")


def merge(parts: Iterable[nft.Elements]) -> nft.Elements:
    """The elements of several guests together."""
    found: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for name, items in part.items():
            found[name].update(items)
    return {name: tuple(sorted(items)) for name, items in sorted(found.items())}


def admit_rule() -> tuple[str, ...]:
    """What admits our connections, as arguments of iptables and ip6tables after the chain's name.

    It asks for both, the DNAT and our bit: others set marks too (istio 0x539, tailscale, kubernetes).
    """
    mark = f"{MARK:#x}/{MARK:#x}"
    return ("-m", "conntrack", "--ctstate", "DNAT", "-m", "connmark", "--mark", mark, "-j", "ACCEPT")


def is_admit_rule(line: str) -> bool:
    """Whether a line of `iptables -S` is our admit rule: by its mark, which no other rule asks for with an accept."""
    return f"--mark {MARK:#x}/{MARK:#x}" in line and "--ctstate DNAT" in line and "-j ACCEPT" in line


def _sets(networks: tuple[Network, ...]) -> dict[str, list[str]]:
    """Name -> what is in it."""
    guarded = [network for network in networks if network.host_access != "full"]
    found = {
        "bridges": _bridges(networks),
        "same": [f"{bridge} . {bridge}" for bridge in _bridges(networks)],
        "apart": [f"{bridge} . {bridge}" for bridge in _bridges(n for n in networks if n.guest_isolation)],
        "isolated": _bridges(network for network in networks if network.mode == "isolated"),
        "closed4": _bridges(network for network in networks if network.mode != "isolated" and IPV4 not in network.open),
        "closed6": _bridges(network for network in networks if network.mode != "isolated" and IPV6 not in network.open),
        "guarded": _bridges(guarded),
        "services": _bridges(network for network in guarded if network.host_access == "services"),
    }
    sides = [side for network in networks for side in network.sides]
    denied = [(nft.quoted(network.bridge), to) for network in networks for to in network.deny]
    for family in FAMILIES:
        found[f"own{family}"] = _of(family, [side.host.ip for side in sides])
        found[f"guests{family}"] = _of(family, [side.host.network for side in sides])
        found[f"denied{family}"] = [f"{bridge} . {network_text(to)}" for bridge, to in denied if to.version == family]
    return found


def _bridges(networks: Iterable[Network]) -> list[str]:
    return [nft.quoted(network.bridge) for network in networks]


def _of(family: int, things: Sequence[Address | Subnet]) -> list[str]:
    return [str(thing) for thing in things if thing.version == family]
