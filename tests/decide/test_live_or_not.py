"""The plan says for each step whether it is live, waits for something, or takes the network from which guests for how
long; and its summary, who loses it for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guestnet.decide.describe import describe, impact
from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Domain, DomainNic, Facts
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.state import Key, Network, State
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from tests.compile.test_golden import CASES, RA, made
from tests.decide.test_outage_words import HERE, ON, XML

NOBODY = replace(HERE, domains=())
MTU = XML.replace("</network>", '  <mtu size="1400"/>\n</network>')
LINE = '~ + <mtu size="1400"/>'
OTHER = Domain("late", True, (DomainNic("cell", "52:54:00:00:00:02"),))


def plan(live: State, desired: State, facts: Facts = HERE) -> Plan:
    return make_plan(World((), ()), facts, live, desired)


def said(found: Plan) -> list[tuple[str, str]]:
    return [line for item in describe(found) for line in item.lines]


def of_network(before: Network | None, after: Network | None, facts: Facts = HERE) -> list[tuple[str, str]]:
    live, desired = ({Key("network", "lab"): one} if one else {} for one in (before, after))
    return said(plan(live, desired, facts))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_step_is_without_a_word(case: Path) -> None:
    world, memory = made(case, Memory())
    facts = replace(RA, settings={**RA.settings, "net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"})
    desired = desired_state(world, facts, memory, "hook", "let_in")[0]
    for found in (make_plan(world, facts, {}, desired), make_plan(World((), ()), facts, desired, {})):
        assert [line for line, when in said(found) if not when] == []


def test_what_waits_for_the_next_restart() -> None:
    """As on a network that was taken over."""
    assert of_network(ON, Network(MTU, XML, True)) == [(LINE, "at the next restart of the network")]
    drift = of_network(Network(XML, MTU, True), Network(MTU, MTU, True))
    assert drift == [(LINE, "live")], "it runs with that already"
    off = Network(XML, None, True)
    assert of_network(off, replace(off, xml=MTU)) == [(LINE, "when it is started")]
    assert of_network(off, Network(MTU, MTU, True)) == [(LINE, "live"), ("+ started", "live")]


def test_what_a_restart_does() -> None:
    after = Network(MTU, MTU, True)
    assert of_network(ON, after) == [
        (LINE, "by the restart"),
        ("~ restarted", "restart: web1 without network for up to 1 s"),
    ]
    assert of_network(ON, after, NOBODY)[1] == ("~ restarted", "restart, no guest runs on it")


def test_for_good() -> None:
    assert of_network(ON, None) == [("- with its bridge, DHCP and DNS", "cuts off web1 for good")]
    assert of_network(ON, None, NOBODY) == [("- with its bridge, DHCP and DNS", "live")]
    assert of_network(ON, replace(ON, running=None)) == [("~ stopped", "cuts off web1 for good")]


def test_the_summary_tells_a_moment_from_for_good() -> None:
    key, cell = Key("network", "lab"), Key("network", "cell")
    facts = replace(HERE, domains=(*HERE.domains, OTHER))
    both: State = {key: ON, cell: ON}
    other = Network(MTU, MTU, True)
    assert impact(plan(both, {}, facts)) == "2 changes, cuts off for good: late, web1."
    assert impact(plan(both, {key: other, cell: ON}, facts)) == "2 changes, disturbs web1."
    assert impact(plan(both, {key: other}, facts)) == "3 changes, cuts off for good: late; disturbs web1."


@pytest.mark.parametrize(("loaded", "when"), [(True, "live"), (False, "from libvirt's next start on")])
def test_hooks_are_seen_when_libvirt_starts(loaded: bool, when: str) -> None:
    world, memory = made(CASES[0], Memory())
    facts = replace(RA, hooks_loaded=loaded)
    found = said(make_plan(world, facts, {}, desired_state(world, facts, memory, "hook")[0]))
    assert {after for line, after in found if "hook" in line} == {when}
    assert ("+ /etc/sysctl.d/90-guestnet.conf", "for the next boot") in found
