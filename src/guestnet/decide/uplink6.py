"""Whether the host's IPv6 uplink works: a default route, an address that others know, a router that answers. Pure.

`host.uplink6` asks; what a guest's IPv6 is worth depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guestnet.decide.facts import Facts, Own6, Router6
from guestnet.words.addresses import is_private


@dataclass(frozen=True)
class Uplink6:
    """Whether it works, what was seen, what to do when it does not."""

    works: bool
    seen: str
    todo: str = ""


@dataclass(frozen=True)
class Answer:
    """Of somebody out there who was asked: whether it answered, and the answer in a few words."""

    whom: str
    answered: bool
    text: str = ""


def global_ones(facts: Facts) -> tuple[Own6, ...]:
    """The host's addresses that the internet can answer, on its IPv6 uplinks."""
    nics = {router.nic for router in facts.routers6}
    return tuple(own for own in facts.own6 if own.nic in nics and not is_private(own.address.ip))


def lacking(facts: Facts) -> Uplink6 | None:
    """What is missing, where nobody needs to be asked."""
    if not facts.routers6:
        todo = "ask the provider for IPv6; or, where it should be there, see why no router is advertised or configured"
        return Uplink6(False, "the host has no IPv6 default route", todo)
    if not global_ones(facts):
        nics = sorted({router.nic for router in facts.routers6})
        has = ", ".join(str(own.address.ip) for own in facts.own6 if own.nic in nics)
        seen = f"the host has no global IPv6 address on {', '.join(nics)}{f', only {has}' if has else ''}"
        return Uplink6(False, seen, "give it one, or see why neither DHCPv6 nor router advertisements bring one")
    return None


def judge(facts: Facts, answers: Mapping[Router6, bool], far: Answer | None = None) -> Uplink6:
    """answers: of each router, whether it answered. far: of somebody beyond, when one was asked: that decides."""
    found = lacking(facts)
    if far is not None and (far.answered or found is None):
        works = far.answered
        seen = f"{far.whom} {'answers' if works else 'does not answer'} over IPv6{f' ({far.text})' if far.text else ''}"
        if works:
            return Uplink6(True, seen)
        dead = [text(router) for router, answered in answers.items() if not answered]
        return Uplink6(False, f"{seen}{f'; nor does the router {dead[0]}' if dead else ''}", _TODO)
    if found is not None:
        return found
    alive = [router for router, answered in answers.items() if answered]
    if alive:
        return Uplink6(True, f"the router {text(alive[0])} answers")
    dead = [text(router) for router in answers]
    seen = f"the router {dead[0]} does not" if len(dead) == 1 else f"the routers {', '.join(dead)} do not"
    return Uplink6(False, f"{seen} answer", _TODO)


_TODO = "see whether the host itself gets out: ping -6 2606:4700:4700::1111; then its router, cable or provider"


def text(router: Router6) -> str:
    """`fe80::1 on up0`."""
    return f"{router.gateway or 'at the far end'} on {router.nic}"
