"""What `guestnet select` shows: the order as it is, why, the fix and the order with it, and the other resolvers."""

from __future__ import annotations

from dataclasses import replace

from guestnet.decide.select.case import Case
from guestnet.decide.select.explain import Explained, explain
from guestnet.decide.select.gaiconf import fix
from guestnet.decide.select.order import order
from guestnet.decide.select.policies import known_local
from guestnet.decide.select.table import reasons, table


def screen(case: Case, resolver: str, guest: str = "") -> list[str]:
    """guest: one that can be mended by name."""
    if resolver == "musl":  # it makes one number of each, and compares no pairs
        return [f" {i}  {dest}" for i, dest in enumerate(order(case, resolver), 1)]
    before = explain(case, resolver)
    lines = _block(before)
    if resolver == "glibc":
        lines += _mended(case, before, guest) + _others(case)
    return lines


def fixed(case: Case) -> Case | None:
    """The case with the fix for its first ULA; None for a host that has none."""
    known = known_local(case.host)
    return replace(case, gai_conf=fix(known[0]).encode()) if known else None


def _block(found: Explained) -> list[str]:
    told = reasons(found)
    return [*table(found), *(["", *told] if told else [])]


def _mended(case: Case, before: Explained, guest: str) -> list[str]:
    after = fixed(case)
    if after is None:
        return ["", "It has no unique local address of its own (fc00::/7), so there is nothing to mend."]
    found = explain(after)
    prefix = known_local(case.host)[0]
    if _addresses(found) == _addresses(before):
        return ["", f"With the whole table and `label {prefix} 1` in its /etc/gai.conf the order would be the same."]
    first = found.rows[0].seen.address
    by_name = f"Mend it in the guest: guestnet prefer-ipv6 {guest}; or by hand, all of these lines in"
    lines = [
        "",
        f"{by_name} its /etc/gai.conf. With them: {first} first"
        if guest
        else f"Mend it in the guest's /etc/gai.conf, with all of these lines. With them: {first} first",
        *(f"    {line}" for line in (after.gai_conf or b"").decode().splitlines()),
        "",
    ]
    return [*lines, *_block(found)]


def _others(case: Case) -> list[str]:
    """Of resolvers that do not read gai.conf."""
    firsts = {str(dests[0]): dests[0].version for name in ("musl", "go") if (dests := order(case, name))}
    who = "Programs in it that do not use glibc's resolver (Go, musl, c-ares)"
    if set(firsts.values()) == {4} and {dest.version for dest in case.answers} == {4, 6}:
        return ["", f"{who} stay on IPv4."]
    return ["", f"{who} do not read gai.conf; first they try {' or '.join(firsts)}."] if firsts else []


def _addresses(found: Explained) -> list[str]:
    return [str(row.seen.address) for row in found.rows]
