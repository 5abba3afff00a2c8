"""Which sysctls a world needs, and what becomes of them when it no longer does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest

from guestnet.decide import routers
from guestnet.decide.desired import desired_state, running_elements, settings
from guestnet.decide.facts import Domain, Facts, ForeignNetwork, HostNic, Lease, Neighbour, Uplink
from guestnet.decide.routers import FORWARDING
from guestnet.decide.state import Key, Setting
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from tests.compile.test_golden import GOLDEN, made

WORLD, _ = made(GOLDEN / "040-forwards", Memory())
RA = "net/ipv6/conf/eth0/accept_ra"
FACTS = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    learning=("eth0",),
    settings={RA: "1", "net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"},
)
EMPTY = World((), ())


def test_accept_ra_comes_before_forwarding() -> None:
    assert list(settings(WORLD, FACTS, Memory())) == [RA, "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]


def test_without_ipv6_only_ipv4_forwarding() -> None:
    only4 = World(tuple(replace(network, v6=None) for network in WORLD.networks), WORLD.guests)
    assert list(settings(only4, FACTS, Memory())) == ["net/ipv4/ip_forward"]


def test_a_nic_stays_named_while_its_router_is_silent() -> None:
    silent = replace(FACTS, learning=())
    assert settings(WORLD, silent, Memory(sysctls={RA: "1"}))[RA] == "2"
    gone = replace(silent, settings={})
    assert RA not in settings(WORLD, gone, Memory(sysctls={RA: "1"}))


def test_what_was_before_us_is_remembered_and_given_back_once() -> None:
    state, memory = desired_state(WORLD, FACTS, Memory(), "hook")
    assert memory.sysctls == FACTS.settings
    on = replace(FACTS, settings=dict.fromkeys(FACTS.settings, "1"))
    assert desired_state(WORLD, on, memory, "hook")[1].sysctls == FACTS.settings, "not what we set ourselves"
    assert state[Key("setting", RA)] == Setting("2")

    after, then = desired_state(EMPTY, on, memory, "hook")
    back = [(key.name, thing.value) for key, thing in after.items() if isinstance(thing, Setting)]
    assert back[-1] == (RA, "1"), "accept_ra goes back after forwarding"
    assert dict(back) == FACTS.settings
    assert then.sysctls == {}
    assert not [key for key in desired_state(EMPTY, on, then, "hook")[0] if key.kind == "setting"]


def test_forwarding_stays_while_a_network_of_somebody_else_needs_it() -> None:
    _, memory = desired_state(WORLD, FACTS, Memory(), "hook")
    other = replace(FACTS, networks=(ForeignNetwork("default", "virbr0", forwards=True),))
    after, _ = desired_state(EMPTY, other, memory, "hook")
    assert not [key for key in after if key.kind == "setting"]

    back, then = desired_state(EMPTY, FACTS, desired_state(EMPTY, other, memory, "hook")[1], "hook")
    assert Key("setting", RA) in back, "and goes back once that network is gone"
    assert then.sysctls == {}


def test_forwarding_stays_for_a_network_that_this_plan_gives_back() -> None:
    """It is ours still, and libvirt's alone behind that; the next look, which finds it there, decides the same."""
    _, memory = desired_state(WORLD, FACTS, Memory(), "hook")
    on = replace(FACTS, settings=dict.fromkeys(FACTS.settings, "1"))
    default = ForeignNetwork("default", "virbr0", forwards=True)
    leaves, left = replace(on, leaving=(default,)), replace(on, networks=(default,))
    after, then = desired_state(EMPTY, leaves, memory, "hook")
    assert not [key for key in after if key.kind == "setting"]
    assert then == memory == desired_state(EMPTY, left, memory, "hook")[1]
    said = [[*routers.notes(FORWARDING, facts, last=True)] for facts in (leaves, left)]
    assert "stays on: network default needs it" in said[0][0]
    assert said[0] == said[1]


def test_by_family() -> None:
    """An IPv4 network of somebody else needs no forwarding of IPv6."""
    _, memory = desired_state(WORLD, FACTS, Memory(), "hook")
    four = ForeignNetwork("default", "virbr0", forwards=True, subnets=(ip_network("192.168.122.0/24"),))
    after, _ = desired_state(EMPTY, replace(FACTS, networks=(four,)), memory, "hook")
    back = {key.name for key in after if key.kind == "setting"}
    assert RA in back
    assert "net/ipv6/conf/all/forwarding" in back
    assert "net/ipv4/ip_forward" not in back


DOCKER = HostNic("docker0", "bridge")
HOME = ip_network("10.9.0.0/24")


@pytest.mark.parametrize(
    ("seen", "stays"),
    [
        ({"nics": (DOCKER,), "subnets": (("docker0", ip_network("172.17.0.0/16")),)}, (4,)),
        ({"nics": (DOCKER,), "subnets": (("docker0", ip_network("fd00:d::/64")),)}, (6,)),
        ({"nics": (DOCKER,)}, ()),
        ({"nics": (HostNic("br9", "bridge", ours=True),), "subnets": (("br9", HOME),)}, ()),
        # The host's own way out, with its NIC in a bridge
        (
            {
                "nics": (HostNic("br0", "bridge"),),
                "subnets": (("br0", HOME),),
                "uplinks": (Uplink("br0", (4,), False),),
            },
            (),
        ),
        # An isolated network of libvirt
        (
            {
                "nics": (HostNic("virbr5", "bridge"),),
                "subnets": (("virbr5", HOME),),
                "networks": (ForeignNetwork("cell", "virbr5", forwards=False, subnets=(HOME,)),),
            },
            (),
        ),
        ({"nics": (HostNic("wg0", "wireguard"),), "subnets": (("wg0", ip_network("10.8.0.1/32")),)}, (4,)),
        ({"nics": (HostNic("tun0", "tun"), HostNic("vnet3", "tun")), "subnets": (("tun0", HOME),)}, (4,)),
        ({"nics": (HostNic("eth1"),), "subnets": (("eth1", HOME),)}, ()),
        ({"masquerades": ((6, "ip6tables"),)}, (6,)),
    ],
)
def test_forwarding_stays_in_the_family_that_somebody_else_routes_in(seen: dict[str, Any], stays: tuple[int]) -> None:
    _, memory = desired_state(WORLD, FACTS, Memory(), "hook")
    facts = replace(FACTS, **seen, settings={**FACTS.settings, **dict.fromkeys(FORWARDING, "1")})
    back = {key.name for key in desired_state(EMPTY, facts, memory, "hook")[0] if key.kind == "setting"}
    assert [family for family, key in zip((4, 6), FORWARDING, strict=True) if key not in back] == [*stays]
    assert (RA in back) == (6 not in stays)
    said = [*routers.notes(FORWARDING, facts, last=True)]
    assert [line[:18] for line in said] == [f"forwarding of IPv{family}" for family in stays]


def test_until_its_next_lease_a_running_guest_is_reached_at_its_old_address() -> None:
    mac, running = "52:54:00:12:34:56", (Domain("web1", True, ()),)
    old, new = IPv4Address("192.168.84.99"), IPv4Address("192.168.84.10")

    def targets(*leases: Lease) -> set[str]:
        found = dict(running_elements(WORLD.guests, replace(FACTS, domains=running, leases=leases)))
        return {item.split(" : ")[1].split(" . ")[0] for item in found["any4"]}

    assert targets() == {str(new)}
    assert targets(Lease("lab", mac, old)) == {str(old)}
    assert targets(Lease("lab", mac, new), Lease("lab", mac, old)) == {str(new)}
    assert targets(Lease("lab", mac, old), Lease("lab", mac, new)) == {str(new)}
    assert targets(Lease("other", mac, old), Lease("lab", "52:54:00:00:00:09", old)) == {str(new)}


def test_an_address_that_the_guest_has_set_itself_is_followed() -> None:
    mac, running = "52:54:00:12:34:56", (Domain("web1", True, ()),)
    own, other = IPv4Address("192.168.84.50"), IPv4Address("192.168.84.60")
    reserved = IPv4Address("192.168.84.10")

    def target(*neighbours: Neighbour, leases: tuple[Lease, ...] = (), chosen: frozenset[int] = frozenset({4})) -> str:
        guests = tuple(
            replace(guest, nics=tuple(replace(nic, chosen=chosen) for nic in guest.nics)) for guest in WORLD.guests
        )
        facts = replace(FACTS, domains=running, neighbours=neighbours, leases=leases)
        (only,) = {item.split(" : ")[1].split(" . ")[0] for item in dict(running_elements(guests, facts))["any4"]}
        return only

    seen = Neighbour("virbr84", mac, own)
    assert target() == str(reserved)
    assert target(seen) == str(own)
    assert target(Neighbour("virbr84", "52:54:00:00:00:09", own)) == str(reserved), "another guest's"
    assert target(seen, Neighbour("virbr84", mac, reserved)) == str(reserved), "a second address beside it"
    lease = (Lease("lab", mac, reserved),)
    assert target(seen, Neighbour("virbr84", mac, reserved), leases=lease) == str(reserved)
    assert target(seen, leases=lease) == str(own), "it has set its own since: see host.whohas for what is met"
    assert target(seen, Neighbour("virbr84", mac, other)) == str(own), "one of several, always the same"
    assert target(seen, chosen=frozenset()) == str(reserved), "the file says what it has"
    assert target(Neighbour("virbr84", mac, IPv6Address("fd00::5"))) == str(reserved)


def test_only_running_guests_have_forwards_in_force() -> None:
    off = replace(FACTS, domains=(Domain("web1", False, ()), Domain("db", True, ())))
    assert dict(running_elements(WORLD.guests, off)) == {
        "any4": ("tcp . 5432 : 192.168.84.11 . 5432",),
        "any6": ("tcp . 5432 : fd12:8848:a2a2:2::11 . 5432",),
    }


def test_an_empty_world_has_nothing_but_its_memory() -> None:
    state, _ = desired_state(EMPTY, FACTS, Memory(), "hook")
    assert [key.kind for key in state] == ["memory"]


def test_hooks_and_unit_come_with_the_first_network_and_stay_without() -> None:
    def standing(world: World, facts: Facts) -> list[str]:
        return [
            key.kind
            for key in desired_state(world, facts, Memory(), "hook")[0]
            if key.kind in ("program", "hook", "unit")
        ]

    booted = replace(FACTS, systemd=True)
    assert standing(WORLD, FACTS) == ["hook", "hook", "program"]
    assert standing(WORLD, booted) == ["hook", "hook", "program", "unit"]
    assert standing(EMPTY, booted) == []
    assert standing(EMPTY, replace(booted, installed=True)) == ["hook", "hook", "program", "unit"]
