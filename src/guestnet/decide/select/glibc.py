"""The order that glibc 2.36 returns (and every glibc from 2.3.4 to 2.41, but for the lines of gai.conf).

It is RFC 3484 with a choice of its own in several places, each named where it is; and since its comparison is not
transitive, the way it sorts belongs to the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from guestnet.decide.select.case import Link, Own
from guestnet.decide.select.routes import LOOPBACK4, LOOPBACK6
from guestnet.decide.select.source import TUNNELS, Candidate, Kernel, candidates
from guestnet.decide.select.tables import Address, Policy, as_ip6, common
from guestnet.words.families import IPV4, IPV6


@dataclass(frozen=True)
class Seen:
    """A destination with what glibc knows of it. bits to index: of the source; empty when glibc does not find it among
    the addresses of the host. native: whether the NIC is no tunnel; False, too, when it is not known."""

    place: int
    address: Address
    source: Address | None
    bits: int = 0
    deprecated: bool = False
    home: bool = False
    index: int = 0
    native: bool = False


Rules = Mapping[int, Callable[[Policy, Seen, Seen], int]]  # below 0: the first goes first; 0: says nothing


@dataclass(frozen=True)
class Verdict:
    """order below 0: the first goes first. rule: the number of RFC 3484 section 6 that said so."""

    order: int
    rule: int


def see(kernel: Kernel, dests: Sequence[Address]) -> list[Seen]:
    known = _Known(kernel)
    return [known.seen(i, one) for i, one in enumerate(candidates(kernel, tuple(dests)))]


class _Known:
    """The addresses of the host as glibc lists them (check_pf.c): of a point-to-point link the far end, and none at all
    where there is no IPv6 address but ::1."""

    def __init__(self, kernel: Kernel) -> None:
        entries = [
            (_listed(own), own, i + 1, link) for i, link in enumerate(kernel.links) for own in _there(kernel, link)
        ]
        entries.sort(key=lambda entry: entry[0])  # stable, as glibc's merge sort: the dump is IPv4 first, then by NIC
        six = any(own.address.version == IPV6 and own.address != LOOPBACK6 for _, own, _, _ in entries)
        self.entries = entries if six else []

    def seen(self, place: int, one: Candidate) -> Seen:
        source = one.source
        if source is None:
            return Seen(place, one.address, None)
        # All of 127/8 is looked up as 127.0.0.1.
        local = isinstance(source, IPv4Address) and source.is_loopback
        found = self._search(as_ip6(LOOPBACK4 if local else source))
        if found is None:
            return Seen(place, one.address, source)
        _, own, index, link = found
        deprecated = bool({"deprecated", "optimistic"} & own.flags)
        native = link.arphrd not in TUNNELS
        return Seen(place, one.address, source, own.bits, deprecated, "home" in own.flags, index, native)

    def _search(self, number: int) -> tuple[int, Own, int, Link] | None:
        """As bsearch(3) of glibc, because an address may be there twice."""
        low, high = 0, len(self.entries)
        while low < high:
            middle = (low + high) // 2
            if self.entries[middle][0] == number:
                return self.entries[middle]
            if number < self.entries[middle][0]:
                high = middle
            else:
                low = middle + 1
        return None


def _there(kernel: Kernel, link: Link) -> list[Own]:
    return [own for own in link.addresses if own.address.version == IPV4 or not kernel.host.disable_ipv6]


def _listed(own: Own) -> int:
    return as_ip6(own.peer or own.address)


def compare(policy: Policy, a: Seen, b: Seen, rules: Rules | None = None) -> Verdict:
    """The first rule of RFC 3484 section 6 that tells the two apart."""
    for rule, judge in (rules or RULES).items():
        order = judge(policy, a, b)
        if order:
            return Verdict(order, rule)
    return Verdict(-1 if a.place < b.place else 1, 10)


def _usable(_policy: Policy, a: Seen, b: Seen) -> int:
    return _yes(a.source is not None, b.source is not None)


def _same_scope(policy: Policy, a: Seen, b: Seen) -> int:
    return _yes(*(one.source is not None and policy.scope(one.address) == policy.scope(one.source) for one in (a, b)))


def _not_deprecated(_policy: Policy, a: Seen, b: Seen) -> int:
    return _yes(not a.deprecated, not b.deprecated)


def _home(_policy: Policy, a: Seen, b: Seen) -> int:
    return _yes(a.home, b.home)


def _same_label(policy: Policy, a: Seen, b: Seen) -> int:
    labels = policy.labels
    return _yes(*(one.source is not None and labels.of(one.address) == labels.of(one.source) for one in (a, b)))


def _precedence(policy: Policy, a: Seen, b: Seen) -> int:
    return more(*(policy.precedences.of(one.address) for one in (a, b)))


def _native(_policy: Policy, a: Seen, b: Seen) -> int:
    if a.source is None or a.index == b.index:
        return 0
    return _yes(a.native, b.native)


def _smaller_scope(policy: Policy, a: Seen, b: Seen) -> int:
    return more(policy.scope(b.address), policy.scope(a.address))


def _longest(_policy: Policy, a: Seen, b: Seen) -> int:
    if a.address.version != b.address.version:
        return 0
    return more(matching(a), matching(b))


def matching(one: Seen) -> int:
    """All 128 bits of IPv6, where RFC 6724 counts the prefix only; IPv4 counts inside the source's subnet only, since
    2.10. An unknown prefix length of 0 becomes /32 there, by a shift that the processor takes modulo 32."""
    if one.source is None:
        return 0
    same = common(one.source, one.address)
    if isinstance(one.address, IPv6Address):
        return same
    return same if same >= (one.bits or 32) else 0


RULES: Rules = {
    1: _usable,
    2: _same_scope,
    3: _not_deprecated,
    4: _home,
    5: _same_label,
    6: _precedence,
    7: _native,
    8: _smaller_scope,
    9: _longest,
}


def _yes(a: bool, b: bool) -> int:
    return more(int(a), int(b))


def more(a: int, b: int) -> int:
    return (a < b) - (a > b)


def merge_sort(items: list[Seen], before: Callable[[Seen, Seen], bool]) -> list[Seen]:
    """glibc's qsort(3): halves, the smaller one first, the left of equals first. Python's own sort asks other pairs."""
    if len(items) <= 1:
        return items
    half = len(items) // 2
    left, right = merge_sort(items[:half], before), merge_sort(items[half:], before)
    merged: list[Seen] = []
    while left and right:
        merged.append((left if before(left[0], right[0]) else right).pop(0))
    return [*merged, *left, *right]
