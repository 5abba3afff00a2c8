"""The way of a followed packet, hop by hop: NICs, the rules that said something and whose they are, the route. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from guestnet.decide.trace import Head, Step, heads, last, whose

_TRANSLATES = re.compile(r"\b(dnat( ip6?)?( prefix)? to|DNAT|redirect)\b")
_KEPT = {"via", "dev", "table", "src"}  # of what `ip route get` says


class Hop(NamedTuple):
    """where: a NIC, `host`, `route`, an address, or whose rule it is."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}"


def lines(hops: Sequence[Hop]) -> list[str]:
    """With what happens at each place lined up."""
    width = max((len(hop.where) for hop in hops), default=0)
    return [f"{hop.where:<{width}}  {hop.what}" for hop in hops]


def hops(steps: Sequence[Step], protocol: str, route: str) -> Iterator[Hop]:
    """From where it came in to where it left, or where a rule ended it. route: what `ip route get` said; "": it was
    not asked."""
    seen = list(heads(steps))
    if not seen:
        return
    yield _entry(seen[0], protocol)
    routed = not seen[0].iif or not route  # the host's own packets are routed before a rule sees them
    for i, step in enumerate(steps):
        if not routed and step.kind == "packet" and is_routed(step):
            yield Hop("route", route)
            routed = True
        if step.ended or (step.kind == "rule" and step.verdict == "accept"):
            what = f"{step.table} {step.chain}: {step.text}{_translated(steps, i)}"
            yield Hop(whose(step), f"{what}   <- {step.end} here" if step.ended else what)
    if any(step.ended for step in steps):
        return
    if not routed:
        yield Hop("route", route)
    end = last(steps)
    if end.oif:
        yield Hop(end.oif, f"out: {_source(steps, end)} -> {place(end, protocol)}")


def _source(steps: Sequence[Step], end: Head) -> str:
    """As whom it leaves: what becomes of it in the last chain no rule shows."""
    if masqueraded(steps):
        return "the host's own address"
    prefix = any(step.verdict == "accept" and "snat ip6 prefix to" in step.bare for step in steps)
    return f"{end.source}, by its address outside," if prefix else end.source


def answer(hop: Hop) -> Hop:
    """As a hop on the way back."""
    return Hop(hop.where, f"(the answer) {hop.what}")


def is_routed(step: Step) -> bool:
    """Whether a chain behind the routing decision saw it; an input chain, as far as its name says."""
    return 'oif "' in step.text or step.chain.lower().endswith("input")


def is_bridged(steps: Sequence[Step], bridge: str) -> bool:
    """Whether rules for what is routed saw it in the middle of this bridge, as br_netfilter lets them."""
    return bool(bridge) and any(head.iif == head.oif == bridge for head in heads(steps))


def place(head: Head, protocol: str) -> str:
    return f"{head.target}, {protocol} {head.port}" if head.port else head.target


def _entry(head: Head, protocol: str) -> Hop:
    if head.iif:
        return Hop(head.iif, f"in: {head.source} -> {place(head, protocol)}")
    return Hop("host", f"sends: {head.source} -> {place(head, protocol)}")


def _translated(steps: Sequence[Step], index: int) -> str:
    """Whom it is for after a DNAT, which the next chain that it enters shows."""
    if not _TRANSLATES.search(steps[index].bare):
        return ""
    after = next(heads(steps[index + 1 :]), None)
    return f" -> {after.target} port {after.port}" if after else ""


def is_translated(steps: Sequence[Step]) -> bool:
    """Whether a rule gave it another destination, which no chain may have seen since."""
    return any(step.verdict == "accept" and _TRANSLATES.search(step.bare) for step in steps)


def masqueraded(steps: Sequence[Step]) -> bool:
    return any(step.verdict == "accept" and "masquerade" in step.bare for step in steps)


def route_text(said: str) -> str:
    """The first line of `ip route get`, without what the reader knows already."""
    words = said.splitlines()[0].split() if said else []
    if not words:
        return ""
    if words[0] == "local":
        return f"{words[1]} is the host's own"
    target = words[1] if words[0] in ("unicast", "unreachable", "blackhole", "prohibit") else words[0]
    kept = [word for pair in itertools.pairwise(words) if pair[0] in _KEPT for word in pair]
    return " ".join([target, *kept])
