"""What others on the host have: which of it forbids a plan, which is only told, and which is nobody's business."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from guestnet.decide.conflicts import beside, conflicts
from guestnet.decide.facts import Facts, ForeignNetwork, HostNic, Route, Session
from guestnet.decide.state import Key, Network, State
from guestnet.spec.load import load_spec
from guestnet.spec.world import World
from tests.worlds import drawn

FILE = "networks: {lab: {mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: 'fd84::1/64'}}"
FACTS = Facts(hostname="kvm1", libvirt="9.0.0")
NEW: State = {}
THERE: State = {Key("network", "lab"): Network("x", "x", True)}


def world(text: str = FILE) -> World:
    spec = load_spec(text, "test.yaml")
    return drawn(spec)


def problems(facts: Facts, live: State = NEW) -> list[str]:
    return [str(problem) for problem in conflicts(world(), facts, live, ())]


def route(subnet: str, **more: object) -> Route:
    parts = {"link": "up0", "gateway": "203.0.113.1"} | more
    return Route(ip_network(subnet), **parts)  # type: ignore[arg-type]


NOTHING = ("", "")
TOLD = "lies in the route"
REFUSED = "overlaps the"
CASES = [
    # as long as ours, or longer: it wins, or libvirt refuses to start the network
    (route("192.168.84.0/24"), (REFUSED, "")),
    (route("192.168.84.0/25"), (REFUSED, "")),
    (route("192.168.84.77/32", gateway="", link="tun0"), (REFUSED, "")),
    (route("192.168.84.128/25", kind="unreachable", link="", gateway=""), (REFUSED, "")),
    (route("192.168.84.0/25", table=52), (REFUSED, "")),
    (route("fd84::/64", gateway="fe80::1"), (REFUSED, "")),
    (route("fd84::5/128", gateway="fe80::1"), (REFUSED, "")),
    # shorter: ours wins, and hides what is there
    (route("192.168.0.0/16"), ("", TOLD)),
    (route("192.168.0.0/16", table=100), ("", TOLD)),
    (route("fd84::/48", gateway="fe80::1"), ("", TOLD)),
    # shorter, in a table that is asked first: ours is never looked at
    (route("192.168.0.0/16", table=52, first=True), ("asked before the main table", "")),
    (route("192.168.0.0/16", kind="local", link="", gateway="", table=255, first=True), ("asked before the main", "")),
    # shorter, and nobody there; or as good as a default route
    (route("192.168.0.0/16", kind="blackhole", link="", gateway=""), NOTHING),
    (route("128.0.0.0/1"), NOTHING),
    (route("192.0.0.0/2", table=52, first=True), NOTHING),
    (route("fc00::/7", gateway="fe80::1"), NOTHING),
    # beside it, and over our own bridge: a guest is the gateway
    (route("192.168.85.0/24"), NOTHING),
    (route("fd84:0:0:1::/64", gateway="fe80::1"), NOTHING),
    (route("192.168.84.128/25", link="virbr84", gateway="192.168.84.10"), NOTHING),
]


@pytest.mark.parametrize(("one", "expected"), CASES, ids=[str(one) for one, _ in CASES])
def test_a_route(one: Route, expected: tuple[str, str]) -> None:
    facts = replace(FACTS, routes=(one,))
    for found, part in zip((problems(facts), list(beside(world(), facts))), expected, strict=True):
        assert len(found) == bool(part), found
        assert part in "".join(found)
        assert not part or str(one) in found[0]


def test_a_shorter_route_is_told_while_the_subnet_is_new() -> None:
    facts = replace(FACTS, routes=(route("192.168.0.0/16"),))
    there = replace(facts, addresses=(("virbr84", ip_interface("192.168.84.1/24")),))
    elsewhere = replace(facts, addresses=(("virbr84", ip_interface("192.168.83.1/24")),))
    assert [len(list(beside(world(), one))) for one in (facts, there, elsewhere)] == [1, 0, 1]


@pytest.mark.parametrize("subnet", ["192.168.84.0/24", "192.168.0.0/16", "192.168.84.9/32", "fd84::/64"])
def test_a_connected_subnet(subnet: str) -> None:
    of_others = replace(FACTS, subnets=(("eth1", ip_network(subnet)),))
    (said,) = problems(of_others)
    assert f"overlaps {subnet} on eth1 (choose another subnet in the file)" in said
    assert problems(replace(FACTS, subnets=(("eth1", ip_network("192.168.85.0/24")),))) == []
    assert problems(replace(FACTS, subnets=(("virbr84", ip_network(subnet)),))) == [], "the bridge's name is told once"


def test_a_network_of_others_that_does_not_run() -> None:
    sub = (ip_network("192.168.0.0/16"), ip_network("fd99::/64"))
    off = ForeignNetwork("my net", "virbr9", forwards=False, running=False, subnets=sub)
    assert problems(replace(FACTS, networks=(off,))) == []
    (note,) = beside(world(), replace(FACTS, networks=(off,)))
    assert "libvirt's network my net, which does not run; only one of the two can" in note
    assert "virsh net-undefine 'my net'" in note
    (said,) = problems(replace(FACTS, networks=(replace(off, autostart=True),)))
    assert "libvirt's network my net, which starts at boot" in said
    assert "virsh net-autostart 'my net' --disable" in said
    assert list(beside(world(), replace(FACTS, networks=(replace(off, autostart=True),)))) == []
    running = replace(FACTS, networks=(replace(off, running=True, autostart=True),))
    assert problems(running) == list(beside(world(), running)) == [], "its bridge has the subnet, and tells"
    apart = replace(FACTS, networks=(replace(off, subnets=sub[1:], autostart=True),))
    assert problems(apart) == list(beside(world(), apart)) == []


def test_names_and_bridges() -> None:
    def said(name: str, bridge: str) -> list[str]:
        return problems(replace(FACTS, networks=(ForeignNetwork(name, bridge, forwards=False),)))

    assert "exists in libvirt and is not guestnet's" in said("lab", "virbr9")[0]
    assert "used by libvirt's network other" in said("other", "virbr84")[0]
    assert said("other", "virbr9") == []
    taken = replace(FACTS, nics=(HostNic("virbr84", "bridge"),))
    assert "exists on the host already" in problems(taken)[0]
    assert problems(taken, THERE) == [], "it is our own"


def test_a_table_of_somebody_else() -> None:
    foreign = replace(FACTS, foreign_table=True)
    assert "somebody else made" in problems(foreign)[0]
    assert conflicts(World((), ()), foreign, NEW, ()) == ()


SESSION = Session(ip_address("198.51.100.7"), ip_address("203.0.113.2"), 22)


@pytest.mark.parametrize(
    ("forward", "caught"),
    [
        ('"22"', True),
        ('"20-30"', True),
        ('"203.0.113.2:22"', True),
        ('"up0:22:22"', True),
        ('"203.0.113.2/all"', True),
        ('"22/udp"', False),
        ('"23"', False),
        ('"203.0.113.3:22"', False),
        ('"eth9:22:22"', False),
        ('"203.0.113.3/all"', False),
        ("{ports: 22, family: ipv6}", False),
        ("{ports: 22, enabled: false}", False),
        ("{ports: 22, from: 198.51.100.0/24}", True),
        ("{ports: 22, from: 192.0.2.0/24}", False),
    ],
)
def test_the_port_of_the_session_is_not_given_away(forward: str, caught: bool) -> None:
    text = f"{FILE}\nguests: {{web: {{network: lab, forwards: [{forward}]}}}}\n"
    own = (("up0", ip_interface("203.0.113.2/24")),)
    facts = Facts(hostname="h", libvirt="9.0.0", addresses=own, session=SESSION)
    found = [str(problem) for problem in conflicts(world(text), facts, {}, ())]
    assert any("this session came in at 203.0.113.2 port 22" in one for one in found) == caught
    assert not any("session" in str(one) for one in conflicts(world(text), replace(facts, session=None), {}, ()))
