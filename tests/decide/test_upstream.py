"""What is beyond the uplink: whom to ask there, what egress leaves of it, the routes and the NAT of its router."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from guestnet.decide.facts import Facts, Uplink
from guestnet.decide.reach import INTERNET, predict
from guestnet.decide.upstream import Far, allowed, beyond, notes, reached
from guestnet.spec.load import load_spec
from guestnet.spec.world import World
from tests.worlds import drawn

FACTS = Facts(hostname="kvm1", libvirt="9.0.0", uplinks=(Uplink("up0", (4, 6), kernel_ra=False),))
HOME = ("192.168.1.2/24", "fd00:1::2/64")
PUBLIC = ("203.0.113.2/24", "2001:db8:1::2/64")
NAT = "mode: nat, ipv4: 10.66.1.1/24, ipv6: 'fd00:66::1/64'"
ROUTED = "mode: routed, ipv4: 10.66.1.1/24, ipv6: 'fd00:66::1/64'"


def world(text: str) -> World:
    spec = load_spec(f"networks: {{lab: {{{text}}}}}", "test.yaml")
    return drawn(spec)


def facts(*addresses: str, nic: str = "up0") -> Facts:
    return replace(FACTS, addresses=tuple((nic, ip_interface(address)) for address in addresses))


def outwards(text: str, host: Facts, family: int = 4) -> tuple[str, str]:
    cells = predict(world(text), host)
    return next((one.verdict, one.reason) for one in cells if (one.target, one.family) == (INTERNET, family))


# whom to ask


def test_gateways_that_guests_can_ask() -> None:
    far = beyond({4: ("192.168.1.1",), 6: ("fe80::1", "fd00:1::1")}, {})
    assert far == Far({4: "192.168.1.1", 6: "fd00:1::1"})
    assert beyond({4: ("192.168.1.1",)}, {4: "203.0.113.9"}) == Far({4: "203.0.113.9"})


def test_a_gateway_known_by_its_link_local_address() -> None:
    """As router advertisements have it."""
    said = "the host's IPv6 gateway fe80::1 has no address that guests could ask; name one with --target"
    far = beyond({4: ("192.168.1.1",), 6: ("fe80::1",)}, {})
    assert far.asked == {4: "192.168.1.1"}
    assert far.lack(6) == said
    assert beyond({4: ("fe80::1",)}, {}).lack(4).startswith("the host's IPv4 gateway fe80::1 has no address")
    chosen = beyond({6: ("fe80::1",)}, {6: "2001:db8::9"})
    assert chosen == Far({6: "2001:db8::9"})
    assert beyond({}, {}).lack(6) == "the host has no IPv6 gateway to ask; name one with --target"


@pytest.mark.parametrize(
    ("deny", "chosen", "asked", "why"),
    [
        ("private", {}, None,
         "egress denies the gateway 192.168.1.1, which is asked for the internet; name another with --target"),
        ("private", {4: "203.0.113.9"}, "203.0.113.9", ""),
        ("203.0.113.0/24", {4: "203.0.113.9"}, None,
         "egress denies 203.0.113.9, which --target names for the internet; name another with --target"),
        ("0.0.0.0/0", {}, "192.168.1.1", ""),
        ("'::/0'", {}, "192.168.1.1", ""),
        ("10.0.0.0/8", {}, "192.168.1.1", ""),
    ],
)  # fmt: skip
def test_an_egress_that_denies_who_would_be_asked(
    deny: str, chosen: dict[int, str], asked: str | None, why: str
) -> None:
    """Where it denies all of the family it is seen to."""
    (network,) = world(f"{NAT}, egress: {{deny: [{deny}]}}").networks
    far = allowed(beyond({4: ("192.168.1.1",)}, chosen), network, chosen)
    assert (far.asked.get(4), far.lacks.get(4, "")) == (asked, why)


# what is promised


def test_the_reason_names_the_egress() -> None:
    assert outwards(f"{NAT}, egress: {{deny: [198.51.100.7, 10.0.0.0/8]}}", FACTS) == (
        "yes",
        "NAT44 by libvirt, as the host's own address, but not 10.0.0.0/8, 198.51.100.7: egress",
    )
    assert outwards(f"{NAT}, egress: {{deny: [10.0.0.0/8]}}", FACTS, 6)[1] == (
        "NAT66 by libvirt, as the host's own address"
    )
    many = ", ".join(f"198.51.{i}.0/24" for i in range(0, 20, 2))
    assert outwards(f"{NAT}, egress: {{deny: [{many}]}}", FACTS)[1].endswith("198.51.10.0/24 and 4 more: egress")


@pytest.mark.parametrize(("deny", "family"), [("0.0.0.0/0", 4), ("0.0.0.0/1, 128.0.0.0/1", 4), ("'::/0'", 6)])
def test_an_egress_that_denies_all(deny: str, family: int) -> None:
    text = f"{NAT}, egress: {{deny: [{deny}]}}"
    assert outwards(text, FACTS, family) == ("no", f"egress of lab denies all of IPv{family}")
    assert outwards(text, FACTS, 10 - family)[0] == "yes"


NATED = "the router upstream needs a route to it, and NATs it"


@pytest.mark.parametrize(
    ("text", "addresses", "four", "six"),
    [
        (ROUTED, HOME, ("yes", NATED), ("yes", NATED)),
        (ROUTED, PUBLIC, ("no", "10.66.1.0/24 is private"), ("no", "fd00:66::/64 is private")),
        (ROUTED, (*HOME, "2001:db8:1::2/64"), ("yes", NATED), ("no", "is private")),
        (ROUTED, (), ("no", "is private"), ("no", "is private")),
        (f"{NAT}, nat: {{ipv6: false}}", HOME, ("yes", "NAT44"), ("no", "is private")),
        (f"{ROUTED}, uplink: eth1", HOME, ("no", "is private"), ("no", "is private")),
        ("mode: routed, ipv4: 192.168.1.129/25, ipv6: none, uplink: up0, proxy_arp: true", HOME,
         ("yes", "proxy ARP on up0, and the router upstream NATs it"), None),
        (f"{ROUTED}, egress: {{deny: [172.16.0.0/12]}}", HOME,
         ("yes", f"{NATED}, but not 172.16.0.0/12: egress"), ("yes", NATED)),
    ],
)  # fmt: skip
def test_a_routed_network_that_is_private(
    text: str, addresses: tuple[str, ...], four: tuple[str, str], six: tuple[str, str] | None
) -> None:
    """At home the router upstream translates what the host sends, and so what its guests send."""
    for family, wanted in ((4, four), (6, six)):
        if wanted:
            verdict, reason = outwards(text, facts(*addresses), family)
            assert (verdict, wanted[1] in reason) == (wanted[0], True), reason


# the routes


def test_the_route_upstream_goes_by_the_networks_own_uplink() -> None:
    both = replace(facts(*PUBLIC), addresses=(*facts(*PUBLIC).addresses, ("eth1", ip_interface("198.51.100.2/24"))))
    (four, six) = notes(world(ROUTED), both)
    assert four.endswith("ip route add 10.66.1.0/24 via 203.0.113.2")
    assert six.endswith("ip -6 route add fd00:66::/64 via 2001:db8:1::2")
    (only,) = notes(world(f"{ROUTED}, uplink: eth1"), both)
    assert only.endswith("ip route add 10.66.1.0/24 via 198.51.100.2")


# a family that the host has no uplink of

ONLY6 = replace(FACTS, uplinks=(Uplink("up0", (6,), kernel_ra=True),))


@pytest.mark.parametrize("text", [NAT, ROUTED, f"{ROUTED}, inbound: closed"])
def test_nobody_comes_in_by_a_family_without_an_uplink(text: str) -> None:
    inwards = {cell.family: cell for cell in predict(world(text), ONLY6) if cell.source == INTERNET}
    assert (inwards[4].verdict, inwards[4].reason) == (
        "no",
        "the host has no IPv4 uplink, so nobody out there can ask it",
    )
    both = {cell.family: cell for cell in predict(world(text), FACTS) if cell.source == INTERNET}
    assert inwards[6] == both[6]


def test_a_subnet_beside_the_uplink_is_an_uplink_too() -> None:
    assert not reached(ONLY6, 4)
    assert reached(replace(ONLY6, subnets=(("eth1", ip_network("192.168.1.0/24")),)), 4)
    assert not reached(replace(ONLY6, subnets=(("eth1", ip_network("fd00::/64")),)), 4)
    assert reached(replace(FACTS, uplinks=()), 4), "nothing is known of a host without any default route"
