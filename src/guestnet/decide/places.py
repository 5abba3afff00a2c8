"""Who is meant by a name on `why`'s command line: the internet, the host, a network, a guest, an address. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from guestnet.decide.facts import Domain, Facts
from guestnet.spec.near import did_you_mean
from guestnet.spec.world import Guest, Lan, Network, Nic, World
from guestnet.words.families import IPV4, IPV6
from guestnet.words.problems import GuestnetError


@dataclass(frozen=True)
class Place:
    """kind `outside`: an address behind the uplink; `address`: one in a network of ours, or of a guest of it.

    network: that it is in, None for host, internet and outside. nic: the guest's in that network. address: one that was
    named, "" for all other.
    """

    name: str
    kind: Literal["internet", "outside", "host", "network", "guest", "address"]
    network: Network | Lan | None = None
    guest: Guest | None = None
    nic: Nic | None = None
    address: str = ""
    outside: str = ""  # what those outside know that one by

    @property
    def on_lan(self) -> bool:
        return isinstance(self.network, Lan)

    def has(self, family: int) -> bool:
        """Whether it can have an address of the family at all."""
        if self.address:
            return ip_address(self.address).version == family
        if isinstance(self.network, Network):
            return any(side.host.version == family for side in self.network.sides)
        return True


def find(world: World, facts: Facts, running: AbstractSet[str], name: str, beside: Place | None = None) -> Place:
    """beside: the other place; a guest is meant with its NIC there, if it has one, else with its first.

    Raises GuestnetError for a name that nobody has, and for a network that does not run.
    """
    if name == "internet":
        return Place(name, "internet")
    if name == "host":
        return Place(name, "host")
    networks = _networks(world)
    if name in networks:
        return Place(name, "network", _running(networks[name], running))
    guest = next((one for one in world.guests if one.name == name), None) or _unlisted(world, facts, name)
    if guest is not None and guest.nics:
        there = beside.network.name if beside and beside.network else ""
        nic = next((one for one in guest.nics if one.network == there), guest.nics[0])
        return Place(name, "guest", _running(networks[nic.network], running), guest, nic)
    return _address(world, facts, running, name)


def _networks(world: World) -> dict[str, Network | Lan]:
    every: tuple[Network | Lan, ...] = (*world.networks, *world.lans)
    return {network.name: network for network in every}


def _running(network: Network | Lan, running: AbstractSet[str]) -> Network | Lan:
    if network.name not in running:
        raise GuestnetError(f"network {network.name} does not run", "start it: guestnet apply")
    return network


def _unlisted(world: World, facts: Facts, name: str) -> Guest | None:
    """A domain that the file does not name, where it has a NIC in a network of ours; with the addresses it leased."""
    domain = next((one for one in facts.domains if one.name == name), None)
    networks = _networks(world)
    nics = [nic for nic in domain.nics if nic.network in networks] if domain else []
    return Guest(name, tuple(_nic(facts, nic.network, nic.mac) for nic in nics), ()) if nics else None


def _nic(facts: Facts, network: str, mac: str) -> Nic:
    leased = [lease.address for lease in facts.leases if (lease.network, lease.mac) == (network, mac)]
    ipv4 = next((one for one in leased if one.version == IPV4), None)
    ipv6 = next((one for one in leased if one.version == IPV6), None)
    return Nic(network, mac, ipv4, ipv6)


def _address(world: World, facts: Facts, running: AbstractSet[str], name: str) -> Place:
    try:
        address = ip_address(name)
    except ValueError:
        raise _unknown(world, facts, name) from None
    if any(address == own.ip for _, own in facts.addresses):
        return Place(name, "host", address=str(address))
    # One that a guest has outside only stands for the one that it has itself.
    nics = [nic for guest in world.guests for nic in guest.nics if nic.outside and nic.outside.translated]
    outside, address = address, next((nic.ipv6 for nic in nics if nic.global6 == address and nic.ipv6), address)
    for network in world.networks:
        for side in network.sides:
            if address.version == side.host.version and address in side.host.network:
                its = _running(network, running)
                return Place(name, "address", its, address=str(address), outside=str(outside))
    return Place(name, "outside", address=str(address))


def _unknown(world: World, facts: Facts, name: str) -> GuestnetError:
    here = [*_networks(world), *(guest.name for guest in world.guests)]
    known = ["internet", "host", *sorted(here)]
    near = did_you_mean(name, known)
    if any(domain.name == name for domain in facts.domains):
        return GuestnetError(f"guest {name} has no NIC in a network of the file", "name another, or its address")
    if near.startswith("did you mean"):
        return GuestnetError(f"nobody knows {name}", near)
    return GuestnetError(
        f"nobody knows {name}", f"write internet, host, an address, or one of {', '.join(sorted(here))}"
    )


def running_domain(facts: Facts, guest: Guest) -> bool | None:
    """None when libvirt does not know it."""
    domain: Domain | None = next((one for one in facts.domains if one.name == guest.name), None)
    return None if domain is None else domain.running
