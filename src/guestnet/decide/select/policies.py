"""Resolvers that are not glibc, and the RFCs to the letter. They know the host as it is; gai.conf is glibc's alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from guestnet.decide.select import glibc, tables
from guestnet.decide.select.case import Host, mapped, version4
from guestnet.decide.select.glibc import Rules, Seen
from guestnet.decide.select.source import Kernel, candidates
from guestnet.decide.select.tables import MUSL, RFC3484, RFC6724, Address, Policy, common

ULA = IPv6Network("fc00::/7")
_INTERFACE = 64  # bits of an IPv6 address that are the network's


@dataclass(frozen=True)
class Resolver:
    """policy: its table, for this host. matching: how many bits of a destination and its source rule 9 counts."""

    policy: Callable[[Host], Policy]
    rules: Rules
    matching: Callable[[Seen], int]


def known_local(host: Host) -> list[IPv6Network]:
    """The /48 prefixes of the host's own ULA: what the update draft has in its table as the site's."""
    own = [one.address for link in host.links for one in link.addresses]
    prefixes = [IPv6Network((one, 48), strict=False) for one in own if isinstance(one, IPv6Address) and one in ULA]
    return list(dict.fromkeys(prefixes))


def see(kernel: Kernel, dests: Sequence[Address]) -> list[Seen]:
    """What is true of the sources, where glibc sees it through a list of its own making."""
    return [
        Seen(
            place,
            one.address,
            one.source,
            one.own.bits if one.own else 0,
            bool(one.own and {"deprecated", "optimistic"} & one.own.flags),
            bool(one.own and "home" in one.own.flags),
            one.index,
            one.native,
        )
        for place, one in enumerate(candidates(kernel, tuple(dests)))
    ]


def order(resolver: Resolver, host: Host, dests: Sequence[Address]) -> list[Address]:
    policy = resolver.policy(host)
    seen = see(Kernel(host), dests)
    after = glibc.merge_sort(seen, lambda a, b: glibc.compare(policy, a, b, resolver.rules).order <= 0)
    return [one.address for one in after]


def musl(host: Host, dests: Sequence[Address]) -> list[Address]:
    """musl 1.2.3: one number for each destination, from RFC 6724 without rules 3, 4 and 7; nothing is done for IPv4
    alone. It asks over IPv6 sockets, so prefixes of IPv4 count, too, from bit 96 on."""
    if all(isinstance(dest, IPv4Address) for dest in dests):
        return list(dests)
    kernel = Kernel(host)
    return sorted(dests, key=lambda dest: _musl_key(kernel, dest), reverse=True)


def _musl_key(kernel: Kernel, dest: Address) -> tuple[int, ...]:
    far = mapped(dest) if isinstance(dest, IPv4Address) else dest
    near = None if kernel.host.disable_ipv6 and not version4(dest) else kernel.source(far)
    scope, precedence = tables.scope6(far), MUSL.precedences.of(far)
    if not isinstance(near, IPv6Address):
        return (0, 0, 0, precedence, -scope, 0)
    same_scope = scope == tables.scope6(near)
    same_label = MUSL.labels.of(far) == MUSL.labels.of(near)
    return (1, same_scope, same_label, precedence, -scope, common(near, far))


def _whole(one: Seen) -> int:
    """RFC 3484, all bits of both families."""
    return 0 if one.source is None else common(one.source, one.address)


def _prefix(one: Seen) -> int:
    """RFC 6724 section 2.2: no more than the prefix of the source."""
    return min(_whole(one), one.bits or one.address.max_prefixlen)


def _go_bits(one: Seen) -> int:
    """IPv6 only, and its first 64 bits (golang issues 13283 and 18518)."""
    return 0 if version4(one.address) else min(_whole(one), _INTERFACE)


def _longest(matching: Callable[[Seen], int]) -> Rules:
    def judge(_policy: Policy, a: Seen, b: Seen) -> int:
        return glibc.more(matching(a), matching(b)) if a.address.version == b.address.version else 0

    return {9: judge}


def _both_dead(_policy: Policy, a: Seen, b: Seen) -> int:
    """Of two that can't be reached Go asks nothing more, and keeps their order."""
    return 0 if a.source or b.source else glibc.more(b.place, a.place)


def _rfc(policy: Callable[[Host], Policy], matching: Callable[[Seen], int]) -> Resolver:
    return Resolver(policy, {**glibc.RULES, **_longest(matching)}, matching)


_GO = {1: glibc.RULES[1], 10: _both_dead, **{key: glibc.RULES[key] for key in (2, 5, 6, 8)}, **_longest(_go_bits)}
RESOLVERS = {
    "rfc3484": _rfc(lambda _host: RFC3484, _whole),
    "rfc6724": _rfc(lambda _host: RFC6724, _prefix),
    "rfc6724-update": _rfc(lambda host: tables.update(known_local(host)), _prefix),
    "go": Resolver(lambda _host: RFC6724, _GO, _go_bits),
}
