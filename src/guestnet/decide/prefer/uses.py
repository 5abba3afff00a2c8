"""Which family each guest's programs will try first, for a name that has both: predicted, by its own resolver."""

from __future__ import annotations

from collections.abc import Mapping

from guestnet.decide.facts import Facts
from guestnet.decide.prefer.block import DUAL
from guestnet.decide.prefer.record import Record
from guestnet.decide.select.case import Case, Host
from guestnet.decide.select.guest import host_of
from guestnet.decide.select.order import order
from guestnet.decide.select.source import Kernel
from guestnet.spec.world import Guest, World
from guestnet.words.problems import GuestnetError

_SHOWN = 12  # guests of a kind
_RESOLVERS = {"musl": "musl", "windows": "rfc6724"}  # by what a record says; all else is taken for glibc


def family(world: World, facts: Facts, guest: Guest, record: Record | None) -> str:
    """`prefers IPv6`, `IPv4 only`; `-` where nothing gets out, or others give it its addresses."""
    domain = next((domain for domain in facts.domains if domain.name == guest.name), None)
    its = record if record and domain and domain.uuid == record.uuid else None
    try:
        host = host_of(world, guest)
    except GuestnetError:
        return "-"
    return _words(host, its)


def _words(host: Host, record: Record | None) -> str:
    kernel = Kernel(host)
    there = [dest for dest in DUAL if kernel.source(dest) is not None]
    if not there:
        return "-"
    if len(there) < len(DUAL):
        return f"IPv{there[0].version} only"
    case = Case(host, DUAL, record.wrote if record and record.done else None, dns=True)
    resolver = _RESOLVERS.get(record.libc, "glibc") if record else "glibc"
    return f"prefers IPv{order(case, resolver)[0].version}"


def families(world: World, facts: Facts, records: Mapping[str, Record]) -> dict[str, str]:
    """By guest."""
    return {guest.name: family(world, facts, guest, records.get(guest.name)) for guest in world.guests}


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
