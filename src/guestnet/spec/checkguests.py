"""Rules on guests: their networks, addresses and MACs."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from guestnet.spec.checkprefix import USUAL
from guestnet.spec.choose import inside
from guestnet.spec.document import Loaded, Path
from guestnet.spec.models import Guest, Nic, Side4, Side6, Spec
from guestnet.spec.near import did_you_mean
from guestnet.words.addresses import HOST_BITS6, in_prefix
from guestnet.words.families import IPV4
from guestnet.words.problems import Place, Problem

Address = IPv4Address | IPv6Address


def guest_problems(spec: Spec, loaded: Loaded, whole: Loaded) -> Iterator[Problem]:
    known = whole.data.get("networks")
    networks = sorted(known) if isinstance(known, dict) else []
    for name, guest in spec.guests.items():
        yield from _one_way(name, guest, loaded)
        yield from _networks(name, guest, networks, loaded)
    yield from _addresses(spec, loaded, whole)
    yield from _macs(spec, loaded)


def nic_paths(name: str, guest: Guest) -> list[tuple[Nic, Path]]:
    """The NICs of a guest, each with the path of the mapping that it is written in."""
    if guest.nics:
        return [(nic, ("guests", name, "nics", i)) for i, nic in enumerate(guest.nics)]
    return [(nic, ("guests", name)) for nic in guest.all_nics]


def _one_way(name: str, guest: Guest, loaded: Loaded) -> Iterator[Problem]:
    """`network:` or `nics:`, and no address without one of them."""
    path: Path = ("guests", name)
    for key in ("network", "mac", "ipv4", "ipv6"):
        if getattr(guest, key) is None:
            continue
        if guest.nics:
            todo = f"write {key} in the item of nics that it belongs to"
            yield Problem(f"guest {name} has both nics and {key}", todo, loaded.key((*path, key)))
        elif guest.network is None:
            yield Problem(f"guest {name} has {key} but no network", "write network: too", loaded.key((*path, key)))


def _networks(name: str, guest: Guest, networks: list[str], loaded: Loaded) -> Iterator[Problem]:
    seen: set[str] = set()
    for nic, path in nic_paths(name, guest):
        place = loaded.place((*path, "network"))
        if nic.network not in networks:
            todo = did_you_mean(nic.network, networks) if networks else "define it under networks:"
            yield Problem(f'unknown network "{nic.network}" of guest {name}', todo, place)
        elif nic.network in seen:
            what = f"two NICs of guest {name} in network {nic.network} are not there yet in this version"
            yield Problem(what, "put one into another network", place)
        seen.add(nic.network)


def _addresses(spec: Spec, loaded: Loaded, whole: Loaded) -> Iterator[Problem]:
    taken: dict[tuple[str, Address], tuple[str, Place]] = {}
    for place, name, nic, address in sorted(_written(spec, loaded), key=lambda one: one[0]):
        key = f"ipv{address.version}"
        network = spec.networks.get(nic.network)
        path: Path = ("networks", nic.network, key)
        if network is not None and network.on_lan:
            what = (
                f"{address} in network {nic.network}: guests of mode {network.mode} have their addresses from the LAN"
            )
            yield Problem(what, f"remove {key}, and reserve it at the LAN's DHCP server", place)
            continue
        if network is None or (path in whole.places and path not in loaded.places):
            continue  # its own problem is told already
        side = network.ipv4 if address.version == IPV4 else network.ipv6
        whole_address = _in_network(address, side)
        wrong = _misfit(address, side, nic.network, key)
        other = taken.get((nic.network, whole_address))
        if wrong:
            yield Problem(*wrong, place)
        elif other:
            what = f"{address} is already the address of guest {other[0]} at line {other[1].line}"
            yield Problem(what, "choose another", place)
        else:
            taken[nic.network, whole_address] = (name, place)


def _written(spec: Spec, loaded: Loaded) -> Iterator[tuple[Place, str, Nic, Address]]:
    for name, guest in spec.guests.items():
        for nic, path in nic_paths(name, guest):
            if nic.ipv4 is not None:
                yield loaded.place((*path, "ipv4")), name, nic, nic.ipv4
            if nic.ipv6 is not None:
                yield loaded.place((*path, "ipv6")), name, nic, nic.ipv6


def _in_network(address: Address, side: Side4 | Side6) -> Address:
    if isinstance(address, IPv6Address) and isinstance(side.address, IPv6Interface):
        return in_prefix(address, side.address)
    return address


def _misfit(address: Address, side: Side4 | Side6, network: str, key: str) -> tuple[str, str] | None:
    """Why a guest can't have the address in the network: what, and what to do."""
    host = side.address
    if host == "none":
        return f"network {network} has {key}: none", f"remove {key} here, or give the network {key}"
    if isinstance(host, str):
        part = isinstance(side, Side6) and side.prefix == "uplink"
        return (_misfit_part(address, network) if part else None) or _misfit_auto(address, network, key)
    address, subnet = _in_network(address, side), host.network
    if address == host.ip:
        return f"{address} is the host's own address in network {network}", "choose another"
    if address not in subnet:
        return f"{address} is outside network {network} ({subnet})", _usable(host)
    if not inside(address, subnet):
        lowest = "network" if address.version == IPV4 else "routers'"
        kind = lowest if address == subnet.network_address else "broadcast"
        return f"{address} is the {kind} address of network {network}", _usable(host)
    return None


def _misfit_auto(address: Address, network: str, key: str) -> tuple[str, str] | None:
    """In a network whose subnet is not written only a host part of IPv6 can be right."""
    if isinstance(address, IPv4Address) or int(address) >> HOST_BITS6:
        todo = f"write {key} of network {network} too" + (
            "" if isinstance(address, IPv4Address) else f", or a host part such as ::{int(address) & 0xFFFF or 16:x}"
        )
        return f"{address} needs a subnet, and {key} of network {network} is auto", todo
    if int(address) <= 1:
        return (
            f"{address} is the {'host' if int(address) else 'router'}'s own address in network {network}",
            "choose another",
        )
    return None


def _misfit_part(address: Address, network: str) -> tuple[str, str] | None:
    """In a part of the uplink's prefix, which is not known here."""
    if int(address) >> (address.max_prefixlen - USUAL):
        what = f"{address} is outside network {network}, a part (/{USUAL}) of the uplink's prefix"
        return what, "write a host part such as ::10; for another part, the network's address: too"
    return None


def _usable(host: IPv4Interface | IPv6Interface) -> str:
    if isinstance(host, IPv6Interface):
        return f"write a host part such as ::10, or an address in {host.network}"
    subnet = host.network
    return f"write one from {subnet.network_address + 1} to {subnet.broadcast_address - 1}"


def _macs(spec: Spec, loaded: Loaded) -> Iterator[Problem]:
    written = [
        (loaded.place(("networks", name, "mac")), f"the bridge of network {name}", network.mac)
        for name, network in spec.networks.items()
    ]
    for name, guest in spec.guests.items():
        written += [(loaded.place((*path, "mac")), f"guest {name}", nic.mac) for nic, path in nic_paths(name, guest)]
    seen: dict[str, tuple[str, Place]] = {}
    for place, owner, mac in sorted((one for one in written if one[2]), key=lambda one: one[0]):
        if mac in seen:
            other, where = seen[mac]
            yield Problem(f"{mac} is already the MAC of {other} at line {where.line}", "each NIC needs its own", place)
        elif mac:
            seen[mac] = (owner, place)
