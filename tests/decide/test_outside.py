"""Which uplink's prefix guests can share, what is in the way, and how their part follows it."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import pytest

from guestnet.compile import ndp
from guestnet.decide import outside
from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Answered, Facts, HostNic, Router6, Uplink
from guestnet.decide.state import File, Key
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import World
from guestnet.words.problems import GuestnetError, ProblemsError

FILE = """
networks:
  shared: {mode: nat, ipv4: 10.9.1.1/24, ipv6: {prefix: uplink, ndp_proxy: true}}
  more: {mode: routed, ipv4: none, ipv6: {prefix: uplink, ndp_proxy: true}}
  hidden: {mode: nat, ipv4: 10.9.2.1/24, ipv6: {prefix: translate}}
guests:
  shop: {network: shared}
  mail: {network: hidden, ipv6: "::1:10", forwards: [25]}
"""
EMPTY = Memory()


def host(*addresses: str, nic: str = "up0", more: tuple[tuple[str, str], ...] = ()) -> Facts:
    links = {nic, *(name for name, _ in more)}
    return Facts(
        hostname="kvm1",
        libvirt="9.0.0",
        uplinks=tuple(Uplink(name, (4, 6), kernel_ra=False) for name in sorted(links)),
        nics=tuple(HostNic(name) for name in sorted(links)),
        addresses=(*((nic, IPv6Interface(one)) for one in addresses), *((n, IPv6Interface(one)) for n, one in more)),
    )


def world(facts: Facts, memory: Memory = EMPTY, text: str = FILE) -> tuple[World, Memory]:
    taken = Taken(prefixes=outside.prefixes(facts), uplinks=tuple(outside.uplinks(facts)))
    spec = load_spec(text.encode(), "x")
    return resolve(spec, memory, random=random.Random(7), taken=taken, macs={})  # noqa: S311  not a secret


ONE = host("2001:db8:1::2/64")


def told(facts: Facts, text: str = FILE, **more: object) -> str:
    made, _ = world(facts, text=text)
    return "\n".join(map(str, outside.problems(made, replace(facts, **more), {})))  # type: ignore[arg-type]


def test_each_network_has_a_part_of_its_own_and_guests_their_address() -> None:
    made, memory = world(ONE)
    parts = {network.name: str(network.v6.host) for network in made.networks if network.v6}
    assert parts["more"] == "2001:db8:1::f:1/112"
    assert parts["shared"] == "2001:db8:1::10:1/112"
    guests = {guest.name: guest.nics[0].global6 for guest in made.guests}
    assert guests == {"shop": IPv6Address("2001:db8:1::10:10"), "mail": IPv6Address("2001:db8:1::1:10")}
    assert world(ONE, memory)[0] == made
    assert told(ONE) == ""


def test_a_new_prefix_leaves_parts_and_guests_halves_as_they_are() -> None:
    made, memory = world(ONE)
    later, then = world(host("2001:db8:99::2/64"), memory)
    assert str(later.networks[-1].v6.host) == "2001:db8:99::10:1/112"  # type: ignore[union-attr]
    assert [str(guest.nics[0].global6) for guest in later.guests] == ["2001:db8:99::1:10", "2001:db8:99::10:10"]
    assert later.guests[0].nics[0].ipv6 == made.guests[0].nics[0].ipv6, "its ULA stays"
    back, _ = world(ONE, then)
    assert back == made


def test_an_older_prefix_counts_as_long_as_it_does_not_fade() -> None:
    """As a provider's change of prefix by router advertisements looks."""
    _, memory = world(ONE)
    both = host("2001:db8:1::2/64", "2001:db8:0::2/64")
    assert {str(one.v6.outside.prefix) for one in world(both, memory)[0].networks if one.v6 and one.v6.outside} == {
        "2001:db8:1::/64"
    }
    fading = replace(both, fading=frozenset({IPv6Address("2001:db8:1::2")}))
    assert outside.prefixes(fading) == (("up0", IPv6Network("2001:db8::/64")),)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (replace(ONE, uplinks=()), "the host has no IPv6 default route (give the host IPv6"),
        (host(), "up0 has no global IPv6 address (give it one, or: ipv6: auto gives guests a ULA and NAT66)"),
        (host("fd00:1::2/64"), "up0 has no global IPv6 address"),
        (host("2001:db8:1::5/128"), "up0 has 2001:db8:1::5/128 only, no prefix that guests could have a part of (ask"),
        (host("2001:db8:1::5/56"), "up0 has 2001:db8:1::5/56, and guests can have a part of a /64 (if it is routed"),
        (
            host("2001:db8:1::2/64", more=(("up1", "2001:db8:2::2/64"),)),
            "several uplinks have a prefix: up0, up1 (write uplink: and the one to share)",
        ),
    ],
)
def test_what_an_uplink_lacks_is_said_with_what_to_do(facts: Facts, wanted: str) -> None:
    said = told(facts)
    assert f"network shared shares its uplink's prefix: {wanted}" in said
    assert f"network hidden shares its uplink's prefix: {wanted}" in said


def test_where_the_network_runs_already_it_is_a_note() -> None:
    gone = host()
    made, _ = world(ONE)
    live = {Key("hookdata", ndp.FILE): File(ndp.hook_file(made.networks))}
    assert list(outside.problems(made, gone, live)) == []
    said = "\n".join(outside.notes(made, replace(gone, own=frozenset({"shared"}))))
    assert "network shared: its guests' global addresses do not work now: up0 has no global IPv6 address" in said
    assert "network hidden: its guests have a ULA themselves, so their resolvers still prefer IPv4" in said


def test_resolvers_are_told_of_only_where_they_still_prefer_ipv4() -> None:
    two = FILE.replace("[25]}", "[25]}\n  tool: {network: hidden}")

    def notes(text: str, *written: str) -> str:
        return "\n".join(outside.notes(world(ONE, text=text)[0], replace(ONE, ipv6_first=frozenset(written))))

    assert "so their resolvers still prefer IPv4 (guestnet prefer-ipv6 GUEST mends that)" in notes(two)
    assert "so the resolvers of mail still prefer IPv4" in notes(two, "tool", "shop")
    assert notes(two, "tool", "mail") == ""
    asked = two.replace("network: hidden", "network: hidden, prefer_ipv6: true")
    assert notes(asked) == "", "the file says so"


def test_a_guest_without_dhcpv6_is_known_outside_by_the_address_that_its_mac_makes() -> None:
    """Its network has a whole /64, as SLAAC wants. check refuses the same where it has a part of the uplink's."""
    text = """
networks:
  hidden: {mode: nat, ipv4: 10.9.2.1/24, ipv6: {prefix: translate, dhcp: false}}
guests:
  mail: {network: hidden, mac: "52:54:00:00:00:02"}
"""
    made, _ = world(ONE, text=text)
    assert str(made.guests[0].nics[0].global6) == "2001:db8:1:0:5054:ff:fe00:2"
    with pytest.raises(ProblemsError, match="too small for SLAAC, and dhcp: false"):
        world(ONE, text=text.replace("translate", "uplink, ndp_proxy: true"))


def test_a_named_uplink_must_be_there() -> None:
    """Also where the network has shared another one's until now."""
    text = FILE.replace("prefix: translate}", "prefix: translate}, uplink: up9")
    wanted = "network hidden shares its uplink's prefix: there is no NIC up9 (correct uplink:)"
    assert wanted in told(ONE, text)
    before, memory = world(ONE)
    made, _ = world(ONE, memory, text)
    live = {Key("hookdata", ndp.FILE): File(ndp.hook_file(before.networks))}
    assert [str(problem) for problem in outside.problems(made, ONE, live)] == [wanted]


@pytest.mark.parametrize("uplinks", [("up0", None), (None, "up0"), ("up0", "up1")])
def test_a_prefix_is_translated_for_one_network(uplinks: tuple[str | None, str | None]) -> None:
    """Whatever the file calls the uplink: the map in the table has one element a prefix."""
    names = "".join(
        f"  {name}: {{mode: nat, ipv6: {{prefix: translate}}{f', uplink: {uplink}' if uplink else ''}}}\n"
        for name, uplink in zip("ab", uplinks, strict=True)
    )
    # up1 is on the same link, and no default route goes there.
    facts = replace(host("2001:db8:1::2/64", more=(("up1", "2001:db8:1::3/64"),)), uplinks=ONE.uplinks)
    facts = replace(facts, subnets=(("up1", IPv6Network("2001:db8:1::/64")),))
    said = told(facts, f"networks:\n{names}")
    assert "networks a and b would both translate to 2001:db8:1::/64 of" in said
    assert "(one network can have it: write ipv6: auto in the other (NAT66), or another uplink)" in said
    assert told(facts, "networks:\n" + names.splitlines()[0]) == ""


def test_a_network_of_ours_is_no_uplink() -> None:
    """Its bridge has a prefix that is routed to the host. Nor is a NIC that no default route goes by, unless named."""
    ours = (("vbr1", IPv6Interface("2001:db8:7::1/64")), ("eth9", IPv6Interface("2001:db8:9::1/64")))
    facts = replace(host("2001:db8:1::2/128"), addresses=(*host("2001:db8:1::2/128").addresses, *ours))
    facts = replace(facts, subnets=(("eth9", IPv6Network("2001:db8:9::/64")),), nics=(*facts.nics, HostNic("eth9")))
    assert outside.prefixes(facts) == (("eth9", IPv6Network("2001:db8:9::/64")),)
    assert "2001:db8:1::2/128 only" in told(facts)
    named = FILE.replace("ndp_proxy: true}", "ndp_proxy: true}, uplink: eth9").replace(
        "translate}", "translate}, uplink: eth9"
    )
    assert told(facts, named) == ""


def test_a_prefix_is_either_routed_or_on_the_link() -> None:
    text = FILE.replace("guests:", '  own: {mode: nat, ipv6: {prefix: "2001:db8:1::/64"}}\nguests:')
    with pytest.raises(
        GuestnetError, match="network own has 2001:db8:1::/64, and network hidden shares 2001:db8:1::/64"
    ):
        world(ONE, text=text)


def test_addresses_that_others_have() -> None:
    mail = IPv6Address("2001:db8:1::1:10")
    answered = (Answered("up0", mail, "02:00:00:00:00:01"),)
    assert (
        "guest mail would have 2001:db8:1::1:10 on up0, which somebody answers for there already (02:00:00:00:00:01) "
        "(give it another address in network hidden)"
    ) in told(ONE, answered=answered)
    assert "which is the gateway's" in told(ONE, routers6=(Router6("up0", str(mail)),))
    assert "which is the host's own" in told(host("2001:db8:1::1:10/64"))
    two = FILE.replace("guests:", 'guests:\n  twin: {network: shared, ipv6: "::20"}')
    assert told(ONE, two) == ""
    assert "guests mail and shop would both have 2001:db8:1::10:10 on up0" in told(
        ONE, FILE.replace("::1:10", "::10:10")
    )


def test_a_part_that_holds_the_gateway_or_the_host_cuts_them_off() -> None:
    text = FILE.replace("ndp_proxy: true}}\n  more", 'ndp_proxy: true, address: "2001:db8:1::9/112"}}\n  more')
    said = told(ONE, text, routers6=(Router6("up0", "2001:db8:1::1"),))
    assert "2001:db8:1::/112 of network shared holds 2001:db8:1::2, the host's own, the gateway 2001:db8:1::1" in said
    assert "such as 2001:db8:1::1:1/112" in said
    other = text.replace("2001:db8:1::9/112", "2001:db8:9::f:1/112")
    assert "network shared has a part of 2001:db8:9::/64, which is not the prefix of its uplink" in told(ONE, other)


def test_only_what_is_new_is_asked_for() -> None:
    made, memory = world(ONE)
    state, _ = desired_state(made, ONE, memory, "hook")
    every = {("up0", IPv6Address("2001:db8:1::10:10")), ("up0", IPv6Address("2001:db8:1::1:10"))}
    assert set(outside.new(made, state, {})) == every
    assert outside.new(made, state, state) == ()
    mail = {key: thing for key, thing in state.items() if not key.name.endswith("/mail")}
    assert outside.new(made, state, mail) == (("up0", IPv6Address("2001:db8:1::1:10")),)
    later = host("2001:db8:99::2/64")
    moved, then = world(later, memory)
    assert len(outside.new(moved, desired_state(moved, later, then, "hook")[0], state)) == len(every)
