"""What a plan says of networks that come into guestnet's hands, or leave them: they run on, and so do ways by them."""

from __future__ import annotations

from dataclasses import replace

from guestnet.compile.netxml import canonical
from guestnet.decide.describe import describe
from guestnet.decide.facts import Facts, Uplink
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.state import Key, Network
from guestnet.spec.world import World
from tests.worlds import drawn

FACTS = Facts(hostname="kvm1", libvirt="9.0.0", uplinks=(Uplink("up0", (4, 6), kernel_ra=False),))
FILE = """
networks:
  old: {mode: nat, bridge: virbr0, ipv4: 192.168.122.1/24, ipv6: none}
  cell: {mode: nat, bridge: virbr1, ipv4: 192.168.66.1/24, ipv6: none}
guests:
  web1: {network: old, ipv4: 192.168.122.10, forwards: ["4080:80"]}
"""
BOTH = drawn(FILE)
CELL = replace(BOTH, networks=tuple(one for one in BOTH.networks if one.name == "cell"), guests=())
XML = (
    "<network><name>old</name>{}<bridge name='virbr0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>"
)
PLAIN = canonical(XML.format(""))
MARKED = canonical(
    XML.format("<metadata><g:network xmlns:g='urn:guestnet:1' adopted='yes'/></metadata>")  # as adopt writes it
)
OLD = Key("network", "old")


def plan(before: World, after: World, was: str | None, now: str | None) -> Plan:
    live, desired = ({OLD: Network(xml, PLAIN, autostart=True)} if xml else {} for xml in (was, now))
    return make_plan(after, FACTS, live, desired, before)


def said(found: Plan) -> list[tuple[str, str]]:
    return [line for item in describe(found) for line in item.lines]


def test_given_back() -> None:
    found = plan(BOTH, CELL, MARKED, PLAIN)
    assert said(found) == [("- given back", "live, it runs on by libvirt's rules")]
    flips = [(flip.source, flip.target, flip.before, flip.after) for flip in found.flips or ()]
    assert flips == [("internet", "web1 4080/tcp", "yes", "no")], "its forwards do end"


def test_taken_over() -> None:
    found = plan(CELL, BOTH, PLAIN, MARKED)
    assert said(found) == [("+ taken over as it runs", "live")]
    assert [flip.target for flip in found.flips or ()] == ["web1 4080/tcp"]


def test_one_that_goes_takes_its_ways_along() -> None:
    found = plan(BOTH, CELL, MARKED, None)
    assert ("old", "internet", "yes", "-") in [
        (one.source, one.target, one.before, one.after) for one in found.flips or ()
    ]
