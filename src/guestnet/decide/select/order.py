"""The order that a resolver would return, for each policy that is known."""

from __future__ import annotations

from guestnet.decide.select import glibc
from guestnet.decide.select.case import Case
from guestnet.decide.select.gaiconf import parse
from guestnet.decide.select.source import Kernel
from guestnet.decide.select.tables import Address, Policy


def by_glibc(case: Case) -> list[Address]:
    policy = parse(case.gai_conf or b"").policy
    seen = glibc.see(Kernel(case.host), case.answers)
    return [one.address for one in sort_glibc(policy, seen)]


def sort_glibc(policy: Policy, seen: list[glibc.Seen]) -> list[glibc.Seen]:
    return glibc.merge_sort(list(seen), lambda a, b: glibc.compare(policy, a, b).order <= 0)
