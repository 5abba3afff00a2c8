"""Which guests shall put IPv6 first, for which it is of use, and what waits: the plan's part of `prefer_ipv6`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from guestnet.decide.facts import Domain, Facts, Uplink
from guestnet.decide.prefer.record import FOLDER, Record, from_text, path_of, to_text
from guestnet.decide.reach import outwards
from guestnet.decide.state import Change, File, Key, Prefer, Thing
from guestnet.spec.world import Guest, World
from guestnet.words.addresses import is_private
from guestnet.words.problems import GuestnetError

_SIX = 6
_SITE = 48  # RFC 4193 section 3.1: a ULA's first 48 bits are one site's
SECRET = 0o600  # a guest's file may be nobody else's business
_ANY_UPLINK = Facts("", "", uplinks=(Uplink("", (4, _SIX), kernel_ra=False),))


@dataclass(frozen=True)
class Means:
    """The prefixes that are to get the label of global addresses; none: why not, and what would help."""

    prefixes: tuple[IPv6Network, ...] = ()
    why: str = ""
    todo: str = ""


def means(world: World, guest: Guest, facts: Facts | None) -> Means:
    """facts None: the host is not known, and taken for one with an uplink of both families."""
    networks = {network.name: network for network in world.networks}
    there = [(networks[nic.network], nic.ipv6) for nic in guest.nics if nic.network in networks and nic.ipv6]
    if not there:
        if any(nic.network not in networks for nic in guest.nics):
            return Means((), "it is on the LAN, which gives it its addresses", "a global one comes first by itself")
        return Means((), "none of its networks has IPv6", "write ipv6: auto in its network")
    said = [(address, *outwards(network, facts or _ANY_UPLINK, _SIX)) for network, address in there]
    out: list[IPv6Address] = [address for address, verdict, _ in said if verdict == "yes"]
    if not out:
        why = "; ".join(dict.fromkeys(reason for _, _, reason in said))
        todo = "a guest that prefers IPv6 which leads nowhere is worse off: see to that first"
        return Means((), f"its IPv6 does not get out: {why}", todo)
    known = next((address for address in out if not is_private(address)), None)
    if known is not None:
        return Means((), f"its address {known} is global: every resolver in it tries IPv6 first by itself", "")
    return Means(tuple(dict.fromkeys(IPv6Network((address, _SITE), strict=False) for address in out)))


def there(facts: Facts, records: Mapping[str, Record], *, leaving: bool) -> dict[Key, Thing]:
    """What was written in guests. leaving: nothing of guestnet is to stay on the host.

    What a guest's file holds is not looked at here, only what was written into it: asking every guest's agent would
    take seconds.
    """
    domains = {domain.name: domain for domain in facts.domains}
    found: dict[Key, Thing] = {}
    for record in records.values():
        domain = domains.get(record.guest)
        gone = domain is None or domain.uuid != record.uuid
        if gone or (leaving and not (record.begun and _able(domain))):
            found[Key("memory", path_of(record.guest))] = File(to_text(record), SECRET)  # only to be forgotten
        elif record.begun:
            found[Key("prefer", record.guest)] = Prefer(record.prefixes, record.uuid, record.by_hand, record.done)
    return found


def wanted(world: World, facts: Facts, records: Mapping[str, Record]) -> dict[Key, Thing]:
    """What is to be written in guests. One that is off, or has no agent, stays as it is."""
    had = there(facts, records, leaving=False)
    guests = {guest.name: guest for guest in world.guests}
    found: dict[Key, Thing] = {}
    for domain in facts.domains:
        key = Key("prefer", domain.name)
        now, guest, record = had.get(key), guests.get(domain.name), records.get(domain.name)
        if not _able(domain):
            found |= {key: now} if now else {}
            continue
        by_hand = isinstance(now, Prefer) and now.by_hand
        if guest is None or not (guest.prefer6 or by_hand) or (record and _refused(record, domain)):
            continue
        prefixes = means(world, guest, facts).prefixes
        if prefixes:
            found[key] = Prefer(tuple(map(str, prefixes)), domain.uuid, by_hand)
    return found


def _able(domain: Domain | None) -> bool:
    return domain is not None and domain.running and domain.agent


def _refused(record: Record, domain: Domain) -> bool:
    return bool(record.refused) and record.uuid == domain.uuid


def notes(world: World, facts: Facts, records: Mapping[str, Record], *, leaving: bool) -> tuple[str, ...]:
    """What is not done, and why."""
    domains = {domain.name: domain for domain in facts.domains}
    guests = {guest.name: guest for guest in world.guests}
    found = []
    for name in dict.fromkeys((*guests, *records)):
        domain, record = domains.get(name), records.get(name)
        if domain is None:
            continue  # that it is not defined is said elsewhere
        its = record if record and record.uuid == domain.uuid else None
        if leaving:
            found.append(_stays(domain, its))
        elif name in guests or its:
            found.append(_note(domain, its, guests.get(name), world, facts))
    return tuple(f"guest {note}" for note in found if note)


def left(changes: Iterable[Change], facts: Facts) -> tuple[str, ...]:
    """Guests that keep our lines though these changes forget their record: they are off, or have no agent; or, for all
    that a damaged record tells, may keep them."""
    uuids = {domain.name: domain.uuid for domain in facts.domains}
    found = []
    for change in changes:
        if change.key.name.startswith(f"{FOLDER}/") and isinstance(change.before, File) and change.after is None:
            try:
                record = from_text(change.before.text, change.key.name)
            except GuestnetError:
                found += [name for name in uuids if path_of(name) == change.key.name]
                continue
            found += [record.guest] if record.begun and uuids.get(record.guest) == record.uuid else []
    return tuple(found)


def _stays(domain: Domain, record: Record | None) -> str:
    if record is None or not record.begun or _able(domain):
        return ""
    return f"{domain.name} is off or has no agent: what guestnet wrote stays in its /etc/gai.conf, between its marks"


def _note(domain: Domain, record: Record | None, guest: Guest | None, world: World, facts: Facts) -> str:
    name, asked = domain.name, guest is not None and guest.prefer6
    has = record.prefixes if record and record.done else ()
    found = means(world, guest, facts) if guest and (asked or (has and record and record.by_hand)) else Means()
    should = tuple(map(str, found.prefixes))
    if should == has:
        without = asked and not should
        todo = f" ({found.todo})" if found.todo else ""
        return f"{name}: prefer_ipv6 changes nothing in it: {found.why}{todo}" if without else ""
    if should and record and record.refused:
        return f"{name}: prefer_ipv6 is not set in it: {record.refused}; then: guestnet prefer-ipv6 {name}"
    if _able(domain):
        return ""  # the plan has the change
    what = "prefer_ipv6 waits" if should else "that its /etc/gai.conf is put back waits"
    if not domain.running:
        return f"{name}: {what} until it runs; then apply again"
    agent = "its guest agent (install qemu-guest-agent in it; its domain needs the channel org.qemu.guest_agent.0)"
    todo = f"; or see guestnet prefer-ipv6 {name} --print shell" if should else ""
    return f"{name}: {what} for {agent}{todo}"


def line(change: Change, world: World, facts: Facts) -> str:
    """For the plan."""
    guest = next((guest for guest in world.guests if guest.name == change.key.name), None)
    if isinstance(change.after, Prefer):
        sign = "+" if change.before is None else "~"
        return f"{sign} IPv6 first: label {', '.join(change.after.prefixes)} 1 in its /etc/gai.conf"
    asked = guest is not None and (guest.prefer6 or (isinstance(change.before, Prefer) and change.before.by_hand))
    why = f": {means(world, guest, facts).why}" if guest is not None and asked else ""
    return f"- IPv6 first: its /etc/gai.conf as before{why}"
