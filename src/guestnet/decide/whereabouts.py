"""Which address a running guest has, where that is another than it is to have: its forwards follow it. Pure.

It may have set one itself, or still have the one from before a change, until its next lease. What was found once holds
until the guest is met at another: who is silent for a while has not moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from guestnet.compile.dhcp import file_name
from guestnet.decide.facts import Facts
from guestnet.spec.world import Address, Forward, Guest, Nic, World
from guestnet.words.families import IPV4

Has = Mapping[tuple[str, int], Address]  # (network, family) -> the address


def elsewhere(guest: Guest, facts: Facts, *, running: bool = True) -> dict[tuple[str, int], Address]:
    """What it has instead of the targets of its forwards. Of one that is off: what it had."""
    found: dict[tuple[str, int], Address] = {}
    for network, target in {(forward.network, forward.target): None for forward in guest.forwards}:
        for nic in [nic for nic in guest.nics if nic.network == network][:1]:
            family = target.version
            has = now(guest.name, nic, family, facts) if running else followed(guest.name, nic, family, facts)
            if has is not None and has != target:
                found[network, family] = has
    return found


def led(guest: Guest, has: Has) -> tuple[Forward, ...]:
    """Its forwards, to what it has."""
    return tuple(replace(one, target=has.get((one.network, one.target.version), one.target)) for one in guest.forwards)


def now(guest: str, nic: Nic, family: int, facts: Facts) -> Address | None:
    """What a running guest has on a NIC: where it was met, of several first what is known of it already. One beside
    what the file says is no news. Was it met nowhere, what it had at the last apply, or its latest lease."""
    wanted = chosen_for(nic, family)
    if nic.mac is None:
        return wanted
    seen, before, its = met(nic, family, facts), followed(guest, nic, family, facts), leased(nic, family, facts)
    for address in (wanted, before, *its):
        if address in seen:
            return address
    if seen and family in nic.chosen:
        return min(seen, key=int)
    # Where the file says the address, what it had came from a lease, and a later one counts more.
    if before and (family in nic.chosen or not its):
        return before
    return its[0] if its and wanted not in its else wanted


def by_itself(nic: Nic, family: int, has: Has, facts: Facts) -> bool:
    """Whether what it has instead comes from no lease of before a change."""
    address = has.get((nic.network, family))
    return address is not None and family in nic.chosen and address not in leased(nic, family, facts)


def to_ask(world: World, facts: Facts) -> tuple[tuple[str, str, Address], ...]:
    """(link, MAC, address): where the kernel's table of neighbours does not tell, because what it knows may be long
    past. Nobody is asked who is where he is to be, as nearly all are."""
    running = {domain.name for domain in facts.domains if domain.running}
    links = {network.name: network.bridge for network in world.networks}
    found: dict[tuple[str, str, Address], None] = {}
    for guest in world.guests:
        for network, family in {(one.network, one.target.version): None for one in guest.forwards}:
            nic = next((nic for nic in guest.nics if nic.network == network), None)
            if guest.name in running and network in links and nic and nic.mac:
                its = tuple(_questions(guest.name, nic, family, facts))
                found |= {(links[network], nic.mac, address): None for address in its}
    return tuple(found)


def _questions(guest: str, nic: Nic, family: int, facts: Facts) -> Iterator[Address]:
    wanted, before = chosen_for(nic, family), followed(guest, nic, family, facts)
    its = leased(nic, family, facts)
    known = {wanted, before, *its} - {None}
    seen = met(nic, family, facts)
    seen = seen if family in nic.chosen else seen & known
    asked = seen | ({before} if before else known)
    if asked - {wanted}:
        yield from sorted((one for one in asked if one), key=int)


def chosen_for(nic: Nic, family: int) -> Address | None:
    return nic.ipv4 if family == IPV4 else nic.ipv6


def followed(guest: str, nic: Nic, family: int, facts: Facts) -> Address | None:
    """What it had at the last apply."""
    its = facts.followed.get((file_name(guest), file_name(nic.network)), ())
    return next((one for one in its if one.version == family), None)


def leased(nic: Nic, family: int, facts: Facts) -> tuple[Address, ...]:
    """The latest first."""
    return tuple(
        lease.address
        for lease in facts.leases_of.get(nic.mac or "", ())
        if (lease.network, lease.address.version) == (nic.network, family)
    )


def met(nic: Nic, family: int, facts: Facts) -> frozenset[IPv4Address | IPv6Address]:
    """The addresses that the host has met the NIC by, but link-local ones."""
    return frozenset(
        neighbour.address
        for neighbour in facts.neighbours_of.get(nic.mac or "", ())
        if neighbour.address.version == family
    )
