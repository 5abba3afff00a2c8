"""Which family each guest's programs will try first, for a name that has both: predicted, by its own resolver."""

from __future__ import annotations

from collections.abc import Mapping

from guestnet.decide.facts import Facts
from guestnet.decide.prefer.block import DUAL
from guestnet.decide.prefer.record import Record
from guestnet.decide.select.case import Case
from guestnet.decide.select.guest import host_of
from guestnet.decide.select.order import order
from guestnet.decide.select.source import Kernel
from guestnet.spec.world import Guest, World
from guestnet.words.problems import GuestnetError

_SHOWN = 12  # guests of a kind
_RESOLVERS = {"musl": "musl", "windows": "rfc6724"}  # by what a record says


def families(world: World, facts: Facts, records: Mapping[str, Record]) -> dict[str, str]:
    """By guest: `prefers IPv6`, `IPv4 only`; `-` where nothing gets out, or others give it its addresses.

    Guests of the same networks, with the same file, are alike: each kind is worked out once, of which that takes 2 ms.
    """
    uuids = {domain.name: domain.uuid for domain in facts.domains}
    known: dict[object, str] = {}
    found = {}
    for guest in world.guests:
        record = records.get(guest.name)
        its = record if record and record.uuid == uuids.get(guest.name) else None
        nics = tuple((nic.network, nic.ipv4 is None, nic.ipv6 is None, nic.slaac) for nic in guest.nics)
        kind = (nics, its and (its.wrote if its.done else None, its.libc))
        if kind not in known:
            known[kind] = _family(world, guest, its)
        found[guest.name] = known[kind]
    return found


def _family(world: World, guest: Guest, record: Record | None) -> str:
    try:
        host = host_of(world, guest)
    except GuestnetError:
        return "-"
    kernel = Kernel(host)
    there = [dest for dest in DUAL if kernel.source(dest) is not None]
    if not there:
        return "-"
    if len(there) < len(DUAL):
        return f"IPv{there[0].version} only"
    case = Case(host, DUAL, record.wrote if record and record.done else None, dns=True)
    return f"prefers IPv{order(case, resolver_of(record))[0].version}"


def resolver_of(record: Record | None) -> str:
    """One of `select.order.NAMES`; glibc for who was never met, or is neither musl nor Windows."""
    return _RESOLVERS.get(record.libc, "glibc") if record else "glibc"


def lines(first: Mapping[str, str]) -> list[str]:
    """`families` for people: who prefers what, where a host has both."""
    groups: dict[str, list[str]] = {}
    for guest, words in first.items():
        if words != "-":
            groups.setdefault(words, []).append(guest)
    told = []
    for words, guests in sorted(groups.items(), reverse=True):
        more = f" and {len(guests) - _SHOWN} more" if len(guests) > _SHOWN else ""
        told.append(f"{words} where a host has both: {', '.join(guests[:_SHOWN])}{more}")
    return ["", *told] if told else []
