"""Asks whether the host's IPv6 uplink works: its routers, and somebody beyond them when one is named."""

from __future__ import annotations

from collections.abc import Iterable

from guestnet.decide.facts import Facts, Router6
from guestnet.decide.uplink6 import Answer, Uplink6, judge, lacking
from guestnet.host import netlink6, probe

PATIENCE = 1.0  # seconds for an answer
_SETTLED = 5.0  # the kernel asks three times, one second apart (arp(7): ucast_solicit, retrans_time)
_PORTS = (53, 80, 443)  # what hosts with a name mostly serve; a refusal is an answer, too


def uplink6(facts: Facts, targets: Iterable[str] = ()) -> Uplink6:
    """In a second, or six where a router does not answer. targets: addresses in the internet to ask, too, by
    connections and a ping; any answer of any of them counts. Sends a few packets; changes nothing."""
    whom = tuple(targets)
    if lacking(facts) and not whom:
        return judge(facts, {})
    here = probe.here()
    try:
        far = _far(here, whom) if whom else None
        if far and far.answered:
            return judge(facts, {}, far)
        return judge(facts, _routers(here, facts), far)
    finally:
        here.close()


def uplink6_now(targets: Iterable[str] = ()) -> Uplink6:
    """As `uplink6`, for who has no facts at hand."""
    return uplink6(Facts("", "", routers6=netlink6.routers(), own6=netlink6.addresses(())), targets)


def _far(here: probe.End, targets: tuple[str, ...]) -> Answer:
    orders = []
    for target in targets:
        common = {"to": target, "timeout": PATIENCE}
        orders += [{"protocol": "tcp", "port": port, **common} for port in _PORTS]
        orders.append({"protocol": "icmp", "port": 0, **common})
    answers = here.ask(orders)
    heard = [(order["to"], one) for order, one in zip(orders, answers, strict=True)]
    good = next((found for found in heard if found[1]["outcome"] in ("answered", "refused")), None)
    whom, said = good or (", ".join(targets), answers[0])
    return Answer(str(whom), good is not None, str(said["text"] or said["outcome"]))


def _routers(here: probe.End, facts: Facts) -> dict[Router6, bool]:
    """A router that answers no ping still answers who it is. Where a link has one far end there is nobody to ask."""
    asked = [router for router in facts.routers6 if router.gateway]
    orders = [{"protocol": "icmp", "to": _named(router), "port": 0, "timeout": PATIENCE} for router in asked]
    pinged = {one: answer["outcome"] == "answered" for one, answer in zip(asked, here.ask(orders), strict=True)}
    found = {router: True for router in facts.routers6 if not router.gateway}
    for router, answered in pinged.items():
        silent = not answered and not any(pinged.values())
        found[router] = answered or (silent and netlink6.answers(router.nic, router.gateway, _SETTLED))
    return found


def _named(router: Router6) -> str:
    return f"{router.gateway}%{router.nic}" if router.gateway.startswith("fe80:") else router.gateway
