"""Addresses of an uplink's own prefix for guests: which uplinks have one, what is in the way, what to know of it. Pure.

`prefixes` and `lack` need the facts alone: they say what a host can have before any file asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from guestnet.compile import hookdata, ndp
from guestnet.decide.facts import Facts
from guestnet.decide.state import File, Key, State
from guestnet.spec.world import Network, Outside, World
from guestnet.words.addresses import HOST_BITS6, is_private
from guestnet.words.families import IPV6
from guestnet.words.problems import Problem

_SINGLE = 128
_SHOWN = 12  # guests
_FILE = Key("hookdata", ndp.FILE)
_OTHERWISE = "ipv6: auto gives guests a ULA and NAT66"


def prefixes(facts: Facts) -> tuple[tuple[str, IPv6Network], ...]:
    """(NIC, its global /64s that are on its link), where the host's default route goes first, without bridges of ours.
    What fades, as after the provider has given another, does not count."""
    nics = [*uplinks(facts), *sorted({link for link, _ in facts.subnets})]
    found = {
        (nic, address.network): None
        for nic in nics
        for address in _global(facts, nic)
        if address.network.prefixlen == HOST_BITS6
    }
    return tuple(found)


def lack(facts: Facts, nic: str | None) -> tuple[str, str] | None:
    """Why guests can have no address of that uplink's prefix, and what to do. None as NIC: the default route's."""
    if nic is not None:
        return _lack(facts, nic)
    nics = uplinks(facts)
    if not nics:
        return (
            "the host has no IPv6 default route",
            "give the host IPv6; with ipv6: auto guests have it among themselves",
        )
    able = [one for one in nics if _lack(facts, one) is None]
    if len(able) > 1:
        return f"several uplinks have a prefix: {', '.join(able)}", "write uplink: and the one to share"
    return None if able else _lack(facts, nics[0])


def _lack(facts: Facts, nic: str) -> tuple[str, str] | None:
    its = _global(facts, nic)
    lengths = {address.network.prefixlen for address in its}
    shown = ", ".join(map(str, its))
    if HOST_BITS6 in lengths:
        return None
    if nic not in facts.links:
        return f"there is no NIC {nic}", "correct uplink:"
    faded = _faded(facts, nic)
    if not its and faded:
        what = f"{nic} has {', '.join(map(str, faded))} only, which nothing new is to use (deprecated, or a duplicate)"
        return what, f"see why {nic} gets no other (ip -6 addr show dev {nic}); or: {_OTHERWISE}"
    if not its:
        return f"{nic} has no global IPv6 address", f"give it one, or: {_OTHERWISE}"
    if lengths == {_SINGLE}:
        what = f"{nic} has {shown} only, no prefix that guests could have a part of"
        return what, f"ask the provider for a /64, best one that is routed to this host; or: {_OTHERWISE}"
    todo = "if it is routed to this host, write a /64 of it behind prefix:; if it is on the link, give the NIC a /64"
    return f"{nic} has {shown}, and guests can have a part of a /64", todo


def uplinks(facts: Facts) -> list[str]:
    """Where an IPv6 default route goes."""
    return [uplink.nic for uplink in facts.uplinks if IPV6 in uplink.families]


def _global(facts: Facts, nic: str) -> list[IPv6Interface]:
    return [one for one in _every(facts, nic) if one.ip not in facts.fading]


def _faded(facts: Facts, nic: str) -> list[IPv6Interface]:
    return [one for one in _every(facts, nic) if one.ip in facts.fading]


def _every(facts: Facts, nic: str) -> list[IPv6Interface]:
    found = [
        address
        for link, address in facts.addresses
        if link == nic and isinstance(address, IPv6Interface) and not is_private(address.ip)
    ]
    return sorted(found)


def new(world: World, desired: State, live: State) -> tuple[tuple[str, IPv6Address], ...]:
    """(NIC, address) that guests are to have, and that the host was not told of yet: whether somebody else has them is
    to be asked first."""
    same = live.get(_FILE) == desired.get(_FILE)  # else the prefix may be another one
    before = {line for key in desired for line in _told(live, key)} if same else set()
    found = [
        (nic.outside.nic, nic.global6) for guest in world.guests for nic in guest.nics if nic.outside and nic.global6
    ]
    later = {line for key in desired for line in _told(desired, key)} - before
    return tuple(one for one in found if one[0] and _asked(*one) & later)


def _asked(nic: str, address: IPv6Address) -> set[str]:
    """As it may stand in a guest's file."""
    return {f"{address} on {nic}", f"{ndp.part(address)} on {nic}"}


def _told(state: State, key: Key) -> list[str]:
    thing = state.get(key)
    return hookdata.outside(thing.text) if key.kind == "hookdata" and isinstance(thing, File) else []


def problems(world: World, facts: Facts, live: State) -> Iterator[Problem]:
    owners: dict[tuple[str, IPv6Address], str] = {}
    translated: dict[IPv6Network, str] = {}
    for network in world.networks:
        outside = network.v6.outside if network.v6 else None
        if outside is None:
            continue
        wrong = lack(facts, network.uplink)
        if wrong and not _in_force(network, live):
            yield Problem(f"network {network.name} shares its uplink's prefix: {wrong[0]}", wrong[1])
        elif not wrong:
            yield from _part(network, outside, facts)
            yield from _twice(network, outside, translated)
    for guest in world.guests:
        for nic in guest.nics:
            address = nic.global6
            if nic.outside is None or address is None:
                continue
            taken = _taken(nic.outside, address, facts)
            other = owners.setdefault((nic.outside.nic, address), guest.name)
            if taken:
                what = f"guest {guest.name} would have {address} on {nic.outside.nic}, which {taken}"
                yield Problem(what, f"give it another address in network {nic.network}")
            elif other != guest.name:
                what = f"guests {other} and {guest.name} would both have {address} on {nic.outside.nic}"
                yield Problem(what, "give one of them another address")


def _in_force(network: Network, live: State) -> bool:
    """Whether it shares this uplink's prefix already: then a moment without it is no reason to refuse another apply."""
    file = live.get(_FILE)
    return isinstance(file, File) and ndp.hook_file((network,)) in file.text


def _part(network: Network, outside: Outside, facts: Facts) -> Iterator[Problem]:
    """Packets for all that lies in a network's part of the prefix go to its bridge."""
    if outside.prefix not in [prefix for nic, prefix in prefixes(facts) if nic == outside.nic]:
        what = f"network {network.name} has a part of {outside.prefix}, which is not the prefix of its uplink"
        yield Problem(what, "correct its address, or leave that out")
    if outside.translated or network.v6 is None:
        return
    part = network.v6.host.network
    own = [address.ip for link, address in facts.addresses if link == outside.nic]
    inside = [f"{address}, the host's own" for address in own if address in part]
    inside += [f"the gateway {gateway}" for gateway in facts.gateways6 if gateway in part]
    if inside:
        what = f"{part} of network {network.name} holds {', '.join(inside)}"
        yield Problem(what, "write another part behind address:, such as " + str(_other(part)))


def _twice(network: Network, outside: Outside, before: dict[IPv6Network, str]) -> Iterator[Problem]:
    """A prefix can stand for one ULA only. check knows the uplinks that are written; here is what others turned out to
    be. before: prefix -> its network so far; this one is added."""
    if not outside.translated:
        return
    other = before.setdefault(outside.prefix, network.name)
    if other != network.name:
        what = f"networks {other} and {network.name} would both translate to {outside.prefix} of {outside.nic}"
        yield Problem(what, "one network can have it: write ipv6: auto in the other (NAT66), or another uplink")


def _other(part: IPv6Network) -> IPv6Interface:
    """The next part, as the host's address in it."""
    size = part.num_addresses
    return IPv6Interface((int(part.network_address) + size + 1, part.prefixlen))


def _taken(outside: Outside, address: IPv6Address, facts: Facts) -> str:
    """Who has the address already; empty when nobody is known to."""
    if any(address == own.ip for _, own in facts.addresses):
        return "is the host's own"
    if address in facts.gateways6:
        return "is the gateway's"
    mac = next((one.mac for one in facts.answered if (one.nic, one.address) == (outside.nic, address)), None)
    return f"somebody answers for there already ({mac})" if mac else ""


def notes(world: World, facts: Facts) -> Iterator[str]:
    for network in world.networks:
        outside = network.v6.outside if network.v6 else None
        if outside is None:
            continue
        wrong = lack(facts, network.uplink)
        # Where it does not run yet, or names another NIC now that is not there, it is a problem.
        if wrong and network.name in facts.own and (network.uplink is None or network.uplink in facts.links):
            yield f"network {network.name}: its guests' global addresses do not work now: {wrong[0]}; {wrong[1]}"
        if outside.translated:
            yield from _resolvers(network, world, facts)


def _resolvers(network: Network, world: World, facts: Facts) -> Iterator[str]:
    """What a ULA is for programs in guests; nothing where all were told to put IPv6 first, or the file says so."""
    its = [guest for guest in world.guests if any(nic.network == network.name for nic in guest.nics)]
    left = [guest.name for guest in its if not guest.prefer6 and guest.name not in facts.ipv6_first]
    if its and not left:
        return
    whose = "their resolvers" if len(left) == len(its) else f"the resolvers of {_names(left)}"
    yield (
        f"network {network.name}: its guests have a ULA themselves, so {whose} still prefer IPv4 "
        "(guestnet prefer-ipv6 GUEST mends that); the global addresses are for those who connect to them"
    )


def _names(guests: list[str]) -> str:
    return ", ".join(guests[:_SHOWN]) + (f" and {len(guests) - _SHOWN} more" if len(guests) > _SHOWN else "")
