"""Which changes touch the SSH session that a plan is applied from, and which do not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from guestnet.compile import netxml
from guestnet.decide.atstake import at_stake, warnings
from guestnet.decide.facts import Facts, Session, Uplink
from guestnet.decide.plan import Plan
from guestnet.decide.state import Bridge, Change, Key, Network, Setting, Table
from guestnet.spec.load import load_spec
from guestnet.spec.world import World
from tests.worlds import drawn

FILE = "networks: {lab: {mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: 'fd84::1/64'}}"
WAN = ("203.0.113.2", "198.51.100.7")  # the host's end, the client's
WAN6 = ("2001:db8:1::2", "2001:db8:9::7")
GUEST = ("192.168.84.1", "192.168.84.10")
LAN = ("10.0.0.2", "10.0.0.9")
LINKS = {"up0": "203.0.113.2/24", "eth1": "10.0.0.2/24", "virbr84": "192.168.84.1/24"}
FACTS = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    uplinks=(Uplink("up0", (4, 6), kernel_ra=True),),
    addresses=(*((link, ip_interface(one)) for link, one in LINKS.items()), ("up0", ip_interface("2001:db8:1::2/64"))),
    subnets=tuple((link, ip_interface(one).network) for link, one in LINKS.items() if link != "virbr84"),
)


def world(text: str = FILE) -> World:
    spec = load_spec(text, "test.yaml")
    return drawn(spec)


XML = netxml.network_xml(world().networks[0])
OTHER = XML.replace("192.168.84.254", "192.168.84.99")
assert OTHER != XML
RUNS, CHANGED, OFF = Network(XML, XML, True), Network(OTHER, OTHER, True), Network(XML, None, True)
NETWORK = Key("network", "lab")
RESTART = Change(NETWORK, RUNS, CHANGED)
TABLE = Change(Key("table", "guestnet"), Table("a"), Table("b"))
SPARE = Change(Key("bridge", "br1"), Bridge("eth1", "52:54:00:00:00:01", False), None)


def came(ends: tuple[str, str]) -> Session:
    here, there = map(ip_address, ends)
    return Session(there, here, 22)


def setting(name: str) -> Change:
    return Change(Key("setting", name), Setting("0"), Setting("1"))


CASES = [
    (GUEST, RESTART, "network lab is restarted or removed"),
    (GUEST, Change(NETWORK, RUNS, None), "network lab is restarted or removed"),
    (GUEST, Change(NETWORK, RUNS, replace(RUNS, autostart=False)), ""),
    (GUEST, Change(NETWORK, OFF, RUNS), ""),
    (GUEST, TABLE, "the session comes from a network of guests"),
    (WAN, RESTART, ""),
    (WAN, TABLE, ""),
    (WAN, setting("net/ipv4/ip_forward"), ""),
    (WAN, setting("net/ipv4/conf/up0/proxy_arp"), "on the NIC that the session comes through"),
    (WAN, setting("net/ipv4/conf/eth1/proxy_arp"), ""),
    (WAN, setting("net/ipv6/conf/up0/accept_ra"), ""),
    (WAN6, setting("net/ipv6/conf/up0/accept_ra"), "on the NIC that the session comes through"),
    (WAN6, setting("net/ipv6/conf/all/forwarding"), "IPv6 forwarding changes"),
    (LAN, SPARE, "bridge br1 changes"),
    (WAN, SPARE, ""),
]


@pytest.mark.parametrize(("ends", "change", "said"), CASES)
def test_what_touches_the_session(ends: tuple[str, str], change: Change, said: str) -> None:
    facts = replace(FACTS, session=came(ends))
    found = at_stake(Plan(world(), facts, (change,), (), ()))
    assert len(found) == bool(said), found
    assert said in "".join(found)
    assert at_stake(Plan(world(), FACTS, (change,), (), ())) == (), "nobody is there to be cut off"


def test_a_subnet_that_would_hold_the_client() -> None:
    """It comes by the default route, so no route of the host tells."""
    wanted = world(FILE.replace("192.168.84.1", "198.51.100.1"))
    facts = replace(FACTS, session=Session(ip_address(WAN[1]), ip_address(WAN[0]), 22))
    assert at_stake(Plan(wanted, facts, (TABLE,), (), ())) == (
        "198.51.100.0/24 of network lab holds 198.51.100.7, where the session comes from",
    )
    assert at_stake(Plan(world(), facts, (TABLE,), (), ())) == ()
    own = replace(FACTS, session=Session(ip_address(GUEST[1]), ip_address(GUEST[0]), 22))
    assert at_stake(Plan(world(), own, (), (), ())) == (), "it is there already"


def test_sessions_of_others_are_warned_of() -> None:
    mine, theirs = came(WAN), came(GUEST)
    plan = Plan(world(), replace(FACTS, session=mine, sessions=(mine, theirs)), (RESTART,), (), ())
    assert at_stake(plan) == ()
    (said,) = warnings(plan)
    assert said.startswith("the SSH session from 192.168.84.10 is at stake: network lab is restarted or removed")


def test_in_tmux_any_session_may_be_the_one() -> None:
    """SSH_CONNECTION is that of who started it, or none."""
    gone, there = came(WAN), came(GUEST)
    for session in (None, gone):
        facts = replace(FACTS, session=session, sessions=(there,), multiplexed=True)
        plan = Plan(world(), facts, (RESTART,), (), ())
        assert len(at_stake(plan)) == 1
        assert "the SSH session from 192.168.84.10, which may be the one in use, is at stake" in warnings(plan)[0]
    assert at_stake(replace(plan, facts=replace(facts, sessions=()))) == ()
    assert len(at_stake(replace(plan, facts=replace(FACTS, session=there, multiplexed=True)))) == 1
