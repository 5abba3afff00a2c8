"""The order that a resolver would return, for each that is known."""

from __future__ import annotations

from guestnet.decide.select import glibc, policies
from guestnet.decide.select.case import Case
from guestnet.decide.select.gaiconf import parse
from guestnet.decide.select.source import Kernel
from guestnet.decide.select.tables import Address, Policy

NAMES = ("glibc", "musl", *policies.RESOLVERS)


def order(case: Case, resolver: str = "glibc") -> list[Address]:
    """resolver: one of NAMES."""
    if resolver == "glibc":
        return by_glibc(case)
    if resolver == "musl":
        return policies.musl(case.host, case.answers)
    return policies.order(policies.RESOLVERS[resolver], case.host, case.answers)


def by_glibc(case: Case) -> list[Address]:
    policy = parse(case.gai_conf or b"").policy
    seen = glibc.see(Kernel(case.host), case.answers)
    return [one.address for one in sort_glibc(policy, seen)]


def sort_glibc(policy: Policy, seen: list[glibc.Seen]) -> list[glibc.Seen]:
    return glibc.merge_sort(list(seen), lambda a, b: glibc.compare(policy, a, b).order <= 0)
