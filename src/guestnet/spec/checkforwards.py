"""Rules on forwards: where they go, and that no two want the same port of the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guestnet.spec.document import Loaded, Path
from guestnet.spec.forwards import Listen, protocols
from guestnet.spec.models import Forward, Guest, Network, Nic, Spec
from guestnet.words.ports import WHOLE, PortRange
from guestnet.words.problems import Place, Problem

FAMILIES = ("ipv4", "ipv6")
_PROXIES = 64  # units of systemd for one forward


@dataclass(frozen=True)
class _Written:
    """A forward that is enabled and has a NIC to go to."""

    place: Place
    guest: str
    forward: Forward
    families: tuple[str, ...]


def forward_problems(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    written: list[_Written] = []
    for name, guest in spec.guests.items():
        for i, forward in enumerate(guest.forwards):
            path: Path = ("guests", name, "forwards", i)
            nic = guest.nic_of(forward)
            if nic is None:
                yield _nowhere(name, guest, forward, loaded, path)
                continue
            useless = _useless(name, nic, spec.networks.get(nic.network))
            if useless:
                yield Problem(*useless, loaded.place(path))
                continue
            where = loaded.place((*path, "listen" if forward.listen else "family"))
            wrong = _family(spec, name, nic, forward)
            if wrong:
                yield Problem(*wrong, where)
            yield from _loopback(spec, nic, forward, loaded.place((*path, "loopback")))
            if forward.enabled:
                families = tuple(key for key in FAMILIES if _has(spec, nic, key) and key in _asked(forward))
                written.append(_Written(loaded.place(path), name, forward, families))
    yield from _collisions(sorted(written, key=lambda one: one.place))


def _loopback(spec: Spec, nic: Nic, forward: Forward, place: Place) -> Iterator[Problem]:
    if not forward.loopback:
        return
    network = spec.networks.get(nic.network)
    if network is not None and network.host_access != "full" and (network.host_access or "host" in network.egress.deny):
        how = "write host_access: full" if network.host_access else "take host out of egress: deny"
        todo = f"its guests' answers to the host are dropped: {how} there, or remove loopback"
        yield Problem(f"loopback needs host_access: full in network {nic.network}", todo, place)
    if len(forward.ports) > _PROXIES:
        what = f"loopback for {len(forward.ports)} ports: each of [::1] is a unit of systemd"
        yield Problem(what, f"{_PROXIES} at most: write fewer", place)
    if any(isinstance(listen, str) for listen in forward.listen):
        what = "loopback does not fit in with a NIC to listen on"
        yield Problem(what, "write a forward of its own for it", place)


def _nowhere(name: str, guest: Guest, forward: Forward, loaded: Loaded, path: Path) -> Problem:
    if not guest.all_nics:
        return Problem(f"guest {name} has a forward but no network", "write network: too", loaded.place(path))
    its = ", ".join(nic.network for nic in guest.all_nics)
    what = f"guest {name} is not in network {forward.network}"
    return Problem(what, f"it is in {its}", loaded.place((*path, "network")))


def _useless(name: str, nic: Nic, network: Network | None) -> tuple[str, str] | None:
    """Why nobody needs a forward to the guest there, and what to do."""
    if network is not None and network.mode == "isolated":
        what = f"a forward to guest {name} in network {nic.network}, which is isolated, reaches nobody"
        return what, "remove it, or give the guest a NIC in a nat network"
    if network is not None and network.on_lan:
        what = f"a forward to guest {name} in network {nic.network} of mode {network.mode} is not needed"
        return what, "remove it: the guest is on the LAN, and reached there at its own address"
    return None


def _asked(forward: Forward) -> tuple[str, ...]:
    """The families that a forward wants: those of its listen addresses, or what `family` says."""
    listens = {family for listen in forward.listeners for family in _families(listen, forward)}
    return tuple(key for key in FAMILIES if key in listens and forward.admitted(int(key[-1])))


def _families(listen: Listen | None, forward: Forward) -> tuple[str, ...]:
    """Those of one listener: an address has one, a NIC and any have what `family` says."""
    if listen is None or isinstance(listen, str):
        return FAMILIES if forward.family == "both" else (forward.family,)
    return (f"ipv{listen.version}",)


def _has(spec: Spec, nic: Nic, family: str) -> bool:
    """Whether the network has the family; one that is not in the file is somebody else's problem."""
    network = spec.networks.get(nic.network)
    return network is None or (network.ipv4 if family == "ipv4" else network.ipv6).address != "none"


def _reachable(spec: Spec, nic: Nic, family: str) -> bool:
    """Whether the guest has an address there: one that is written, or one by DHCP."""
    network = spec.networks.get(nic.network)
    if network is None:
        return True
    side, address = (network.ipv4, nic.ipv4) if family == "ipv4" else (network.ipv6, nic.ipv6)
    return side.address != "none" and (side.dhcp or address is not None)


def _family(spec: Spec, name: str, nic: Nic, forward: Forward) -> tuple[str, str] | None:
    """What is wrong with the families that the forward asks for, and what to do."""
    asked = _asked(forward)
    named = any(not isinstance(listen, str) for listen in forward.listen)
    explicit = named or forward.family != "both"
    absent = [key for key in asked if not _has(spec, nic, key)]
    if absent and (explicit or len(absent) == len(asked)):
        what = f"network {nic.network} of guest {name} has no {_shown(absent[0])}"
        return what, f"remove this forward, or give the network {absent[0]}"
    unreachable = [key for key in asked if key not in absent and not _reachable(spec, nic, key)]
    if unreachable and (explicit or len(unreachable) + len(absent) == len(asked)):
        what = f"guest {name} has no {_shown(unreachable[0])} address to forward to: network {nic.network} has no DHCP"
        return what, f"write {unreachable[0]}: in guest {name}"
    return None


def _shown(family: str) -> str:
    return family.replace("ipv", "IPv")


Slot = tuple[str, str, Listen | None]  # protocol, family, listener


def _collisions(written: list[_Written]) -> Iterator[Problem]:
    """Two forwards that want the same port, protocol, family and listener; `any` beside an address or NIC is fine."""
    owners: dict[Slot, dict[int, _Written]] = {}
    for one in written:
        slots = list(_slots(one))
        other = next((owner for slot in slots if (owner := _owner(owners.get(slot, {}), one.forward.ports))), None)
        if other is not None:
            yield _collision(one, other)
            continue
        for slot in slots:
            ports = range(one.forward.ports.first, one.forward.ports.last + 1)
            owners.setdefault(slot, {}).update(dict.fromkeys(ports, one))


def _slots(one: _Written) -> Iterator[Slot]:
    for protocol in protocols(one.forward.protocol):
        for listen in one.forward.listeners:
            for family in one.families:
                if family in _families(listen, one.forward):
                    yield protocol, family, listen
        if one.forward.loopback:
            yield protocol, "both", "lo"


def _owner(owners: dict[int, _Written], ports: PortRange) -> _Written | None:
    return next((owners[port] for port in range(ports.first, ports.last + 1) if port in owners), None)


def _collision(one: _Written, other: _Written) -> Problem:
    mine, its = one.forward, other.forward
    ports = PortRange(max(mine.ports.first, its.ports.first), min(mine.ports.last, its.ports.last))
    both = [protocol for protocol in protocols(mine.protocol) if protocol in protocols(its.protocol)]
    shared = [str(address) for address in mine.listen if address in its.listen]
    if mine.protocol == WHOLE:
        what = f"{' and '.join(shared)} {'are' if len(shared) > 1 else 'is'} already wholly of guest {other.guest}"
        return Problem(f"{what}, by line {other.place.line}", "an address can be one guest's", one.place)
    if not shared and mine.listen != its.listen:
        shared = ["the host's loopback"]
    what = f"host port{'s' if len(ports) > 1 else ''} {ports}/{'+'.join(both)}"
    if shared:
        what += f" of {' and '.join(shared)}"
    what += f" {'are' if len(ports) > 1 else 'is'} already forwarded to {other.guest} at line {other.place.line}"
    return Problem(what, "choose another, or listen on different addresses", one.place)
