"""Asks whether the host's IPv6 uplink works: its routers, and somebody beyond them when one is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from guestnet.act.measure import Host
from guestnet.decide.case import Followed
from guestnet.decide.facts import Facts, Router6
from guestnet.decide.reach import INTERNET, Key, Measured
from guestnet.decide.uplink6 import Answer, Uplink6, judge, lacking
from guestnet.host import netlink6, probe

PATIENCE = 1.0  # seconds for an answer
_SETTLED = 5.0  # the kernel asks three times, one second apart (arp(7): ucast_solicit, retrans_time)


def uplink6(facts: Facts, target: str = "") -> Uplink6:
    """In a second, or six where a router does not answer. target: an address in the internet to ask, too, by a
    connection to port 443 and a ping; any answer counts. Sends a few packets; changes nothing."""
    if lacking(facts) and not target:
        return judge(facts, {})
    here = probe.here()
    try:
        far = _far(here, target) if target else None
        if far and far.answered:
            return judge(facts, {}, far)
        return judge(facts, _routers(here, facts), far)
    finally:
        here.close()


def unanswered(host: Host, measured: Sequence[Measured]) -> tuple[tuple[Measured, ...], Mapping[Key, Followed]]:
    """Of what was measured, the ways to the internet over IPv6 that should be there and that nobody answered, or could
    be asked for: they are closed where the host's own uplink does not work, and that is why."""
    mine = [
        one.cell.key
        for one in measured
        if one.cell.target == INTERNET and one.cell.family == 6 and one.cell.verdict == "yes" and one.right is not True  # noqa: PLR2004  a family of IP
    ]
    state = uplink6(host.facts) if mine else None
    if state is None or state.works:
        return tuple(measured), {}
    why = f"the host's own IPv6 uplink does not work: {state.seen}"
    found = tuple(replace(one, verdict="no", text=why) if one.cell.key in mine else one for one in measured)
    return found, dict.fromkeys(mine, Followed(why, "", state.todo))


def _far(here: probe.End, target: str) -> Answer:
    orders = [
        {"protocol": "tcp", "to": target, "port": 443, "timeout": PATIENCE},
        {"protocol": "icmp", "to": target, "port": 0, "timeout": PATIENCE},
    ]
    answers = here.ask(orders)
    good = next((one for one in answers if one["outcome"] in ("answered", "refused")), None)
    said = good or answers[0]
    return Answer(target, good is not None, str(said["text"] or said["outcome"]))


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
