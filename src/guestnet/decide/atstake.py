"""Whether a plan may cut off the SSH session it is applied from, and by what. Pure.

A forward that would take the session's own port is a problem, see `conflicts`. What is here may end well; if it does
not, nobody is left who could undo it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from guestnet.compile import netxml
from guestnet.decide.desired import accept_ra, proxy_arp
from guestnet.decide.facts import Facts, Session
from guestnet.decide.plan import Plan
from guestnet.decide.routers import FORWARDING
from guestnet.decide.state import Bridge, Change, Network
from guestnet.spec.choose import Subnet
from guestnet.spec.world import World
from guestnet.words.families import IPV6


def at_stake(plan: Plan) -> tuple[str, ...]:
    """What of the plan touches the session that we are run from, each in a few words; empty when none does, or there
    is none. In tmux or screen that may be any: nobody can tell who looks at them when the time comes."""
    return tuple(dict.fromkeys(line for one in plan.facts.own_sessions for line in _of(plan, one)))


def warnings(plan: Plan) -> tuple[str, ...]:
    """The same as sentences, and of other people's sessions too."""
    facts = plan.facts
    started, used = "this SSH session", ""
    if facts.multiplexed:
        started, used = "the SSH session that this tmux or screen was started from", ", which may be the one in use,"
    whose = {facts.session: started} if facts.session else {}
    for one in facts.sessions:
        whose.setdefault(one, f"the SSH session from {one.client}{used}")
    return tuple(dict.fromkeys(f"{text} is at stake: {line}" for one, text in whose.items() for line in _of(plan, one)))


def _of(plan: Plan, session: Session) -> tuple[str, ...]:
    facts = replace(plan.facts, session=session)
    address = session.address
    links = tuple(dict.fromkeys(link for link, own in facts.addresses if own.ip == address))
    found = [line for change in plan.changes for line in _change(change, links, facts)]
    return tuple(dict.fromkeys([*found, *_swallowed(plan.world, facts)]))


def _change(change: Change, links: tuple[str, ...], facts: Facts) -> Iterator[str]:
    kind, name = change.key
    sides = (change.before, change.after)
    if kind == "network":
        bridges = {_bridge(side) for side in sides if isinstance(side, Network)}
        before = change.before.running if isinstance(change.before, Network) else None
        after = change.after.running if isinstance(change.after, Network) else None
        if before not in (None, after) and (bridges & set(links) or bridges & _towards(facts)):
            yield f"network {name} is restarted or removed, and the session comes through it"
    elif kind == "bridge":
        touched = {name, *(side.port for side in sides if isinstance(side, Bridge))}
        if touched & {*links, *_towards(facts)}:
            yield f"bridge {name} changes, and the session comes through it"
    elif kind == "table":
        inside = [link for link in links if link in _own(facts)] or _towards(facts) & _own(facts)
        if inside:
            yield "firewall table inet guestnet changes, and the session comes from a network of guests"
    elif kind == "setting":
        yield from _setting(name, links, facts)


def _setting(name: str, links: tuple[str, ...], facts: Facts) -> Iterator[str]:
    if facts.session is None:
        return
    v6 = facts.session.address.version == IPV6
    of = accept_ra if v6 else proxy_arp
    if any(name == of(link) for link in (*links, *_towards(facts))):
        yield f"sysctl {name} changes, on the NIC that the session comes through"
    elif v6 and name == FORWARDING[1] and any(uplink.kernel_ra for uplink in facts.uplinks):
        yield "IPv6 forwarding changes, and the host has its IPv6 route from router advertisements"


def _swallowed(world: World, facts: Facts) -> Iterator[str]:
    """Answers to the client would go to guests."""
    for network in world.networks:
        for side in (network.v4, network.v6):
            subnet: Subnet | None = side.host.network if side else None
            if subnet is None or facts.session is None or facts.session.client not in subnet:
                continue
            if not any(link == network.bridge and own.network == subnet for link, own in facts.addresses):
                yield f"{subnet} of network {network.name} holds {facts.session.client}, where the session comes from"


def _own(facts: Facts) -> set[str]:
    """Bridges of libvirt networks: links with addresses that are no one else's subnets (see Facts.subnets)."""
    return {link for link, _ in facts.addresses} - {link for link, _ in facts.subnets}


def _towards(facts: Facts) -> set[str]:
    """The links whose subnet the client is in; without one, those of the default routes of its family."""
    if facts.session is None:
        return set()
    near = {link for link, own in facts.addresses if facts.session.client in own.network}
    return near or {uplink.nic for uplink in facts.uplinks if facts.session.client.version in uplink.families}


def _bridge(network: Network) -> str:
    return netxml.own_bridge(network.running or network.xml)
