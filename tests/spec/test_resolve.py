"""From the file to the world: what is chosen, what is remembered, and that nothing depends on the order of the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_network
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestnet.spec import choose
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.models import Spec
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.show import show
from guestnet.spec.world import World
from guestnet.words.problems import GuestnetError

Resolve = Callable[..., tuple[World, Memory]]
TWO = "networks: {a: {mode: nat}, b: {mode: nat}}\nguests: {w1: {network: a}, w2: {network: a}, w3: {network: b}}\n"


def test_auto(resolved: Resolve) -> None:
    world, memory = resolved(TWO)
    a, b = world.networks
    assert a.v4 is not None
    assert str(a.v4.host) == "192.168.100.1/24"
    assert [str(end) for end in a.v4.pool or ()] == ["192.168.100.2", "192.168.100.254"]
    assert a.v6 is not None
    assert memory.ula is not None
    assert memory.ula.subnet_of(IPv6Network("fd00::/8"))
    assert a.v6.host.network.subnet_of(memory.ula)
    assert int(a.v6.host) & (1 << 80) - 1 == (1 << 64) | 1  # subnet id 1, ::1
    assert (a.bridge, b.bridge) == ("virbr0", "virbr1")
    assert a.mac.startswith("52:54:00:")
    assert a.mac != b.mac
    assert a.nat6
    assert [str(guest.nics[0].ipv4) for guest in world.guests] == ["192.168.100.2", "192.168.100.3", "192.168.101.2"]
    assert [int(guest.nics[0].ipv6 or 0) & 0xFFFF for guest in world.guests] == [0x10, 0x11, 0x10]


def test_again_changes_nothing(resolved: Resolve) -> None:
    world, memory = resolved(TWO)
    assert resolved(TWO, memory, seed=2) == (world, memory)


def test_what_runs_already_is_no_obstacle_to_itself(resolved: Resolve) -> None:
    world, memory = resolved(TWO)
    own = tuple(network.v4.host.network for network in world.networks if network.v4)
    bridges, there = frozenset({"virbr0", "virbr1"}), frozenset({"a", "b"})
    assert resolved(TWO, memory, Taken((*own, IPv4Network("0.0.0.0/0")), bridges, there))[0] == world


def test_what_others_took_meanwhile_moves_only_a_network_that_is_not_there(resolved: Resolve) -> None:
    world, memory = resolved(TWO)
    sides = [side.host.network for side in (world.networks[0].v4, world.networks[0].v6) if side]
    a, b = resolved(TWO, memory, Taken(tuple(sides), there=frozenset({"b"})))[0].networks
    assert a.v4
    assert a.v6
    assert str(a.v4.host) == "192.168.102.1/24"
    assert a.v6.host.network not in sides
    assert b == world.networks[1]
    assert resolved(TWO, memory, Taken(tuple(sides), there=frozenset({"a", "b"})))[0] == world


@pytest.mark.parametrize(
    ("route", "counts"),
    [
        ("0.0.0.0/0", False),
        ("128.0.0.0/1", False),
        ("192.0.0.0/2", False),  # a VPN that writes the default as four
        ("192.0.0.0/8", True),
        ("192.168.0.0/16", True),
        ("192.168.100.7/32", True),
        ("fc00::/7", False),  # unreachable on many hosts
        ("fd00::/8", False),
    ],
)
def test_routes_that_are_as_good_as_a_default_do_not_count(resolved: Resolve, route: str, counts: bool) -> None:
    before, _ = resolved("networks: {a: {mode: nat}}")
    after, _ = resolved("networks: {a: {mode: nat}}", taken=Taken((ip_network(route),)))
    assert (after != before) == counts


def test_an_auto_64_keeps_clear_of_routes_too(resolved: Resolve) -> None:
    world, memory = resolved("networks: {a: {mode: nat}}")
    assert world.networks[0].v6
    assert memory.ula
    inside = IPv6Network((int(memory.ula.network_address), 62))  # ids 0 to 3
    moved, _ = resolved("networks: {a: {mode: nat}}", Memory(ula=memory.ula), Taken((inside,)))
    assert moved.networks[0].v6
    assert int(moved.networks[0].v6.host.network.network_address) - int(memory.ula.network_address) == 4 << 64


def test_nothing_that_others_have_is_taken(resolved: Resolve) -> None:
    nets = ("0.0.0.0/0", "128.0.0.0/1", "192.168.100.0/23", "192.168.103.77/32", "::/0")
    taken = Taken(
        tuple(IPv4Network(net) if "." in net else IPv6Network(net) for net in nets), frozenset({"virbr0", "virbr2"})
    )
    world, _ = resolved(TWO, taken=taken)
    assert [str(network.v4.host) for network in world.networks if network.v4] == [
        "192.168.102.1/24",
        "192.168.104.1/24",
    ]
    assert [network.bridge for network in world.networks] == ["virbr1", "virbr3"]


def test_when_192_168_is_full_10_comes_next_and_then_an_error(resolved: Resolve) -> None:
    taken = Taken((IPv4Network("192.168.0.0/16"), IPv4Network("10.0.0.0/24")))
    world, _ = resolved("networks: {a: {mode: nat}}", taken=taken)
    assert world.networks[0].v4
    assert str(world.networks[0].v4.host) == "10.0.1.1/24"
    everything = Taken(tuple(map(IPv4Network, ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12"))))
    with pytest.raises(GuestnetError, match="no private IPv4 subnet is free"):
        resolved("networks: {a: {mode: nat}}", taken=everything)


def test_nothing_is_forgotten(resolved: Resolve) -> None:
    before, memory = resolved(TWO)
    empty, memory = resolved("networks: {}", memory, seed=2)
    assert empty == World((), ())
    other, memory = resolved("networks: {c: {mode: nat}}\nguests: {w4: {network: c}}", memory, seed=3)
    assert other.networks[0].bridge == "virbr2"
    after, _ = resolved(TWO, memory, seed=4)
    assert after == before


def test_an_absent_guest_keeps_its_address(resolved: Resolve) -> None:
    _, memory = resolved(TWO)
    world, memory = resolved(TWO.replace("w1:", "w0:"), memory)
    assert [str(guest.nics[0].ipv4) for guest in world.guests[:2]] == ["192.168.100.4", "192.168.100.3"]


def test_unless_there_is_no_other_left(resolved: Resolve) -> None:
    small = "networks: {a: {mode: nat, ipv4: 10.0.0.1/30, ipv6: none}}\nguests: {%s: {network: a}}\n"
    _, memory = resolved(small % "w1")
    world, _ = resolved(small % "w2", memory)
    assert str(world.guests[0].nics[0].ipv4) == "10.0.0.2"
    with pytest.raises(GuestnetError, match=r"10.0.0.2 to 10.0.0.2 has no free address for guest w2 \(widen the range"):
        resolved(small % "w1: {network: a}, w2")


def test_written_wins_and_the_other_gives_way(resolved: Resolve) -> None:
    net = "networks: {a: {mode: nat, ipv4: 10.0.0.1/24, ipv6: 'fd00:1::1/64'}}\n"
    _, memory = resolved(net + "guests: {w1: {network: a}}")
    text = net + "guests: {w1: {network: a}, w2: {network: a, ipv4: 10.0.0.2, ipv6: '::10'}}"
    world, memory = resolved(text, memory)
    assert [str(guest.nics[0].ipv4) for guest in world.guests] == ["10.0.0.3", "10.0.0.2"]
    assert [str(guest.nics[0].ipv6) for guest in world.guests] == ["fd00:1::11", "fd00:1::10"]
    again, _ = resolved(text.replace(", ipv4: 10.0.0.2, ipv6: '::10'", ""), memory)
    assert again == world  # what was written is remembered too


def test_a_written_subnet_moves_a_remembered_one(resolved: Resolve) -> None:
    _, memory = resolved(TWO)
    world, _ = resolved(TWO.replace("b: {mode: nat}", "b: {mode: nat, ipv4: 192.168.100.9/24}"), memory)
    assert [str(network.v4.host) for network in world.networks if network.v4] == [
        "192.168.102.1/24",
        "192.168.100.9/24",
    ]


@pytest.mark.parametrize(
    ("host", "first", "last"),
    [
        ("192.168.1.1/24", "192.168.1.2", "192.168.1.254"),
        ("192.168.1.254/24", "192.168.1.1", "192.168.1.253"),
        ("192.168.1.100/24", "192.168.1.101", "192.168.1.254"),
        ("192.168.1.200/24", "192.168.1.1", "192.168.1.199"),
        ("10.0.0.1/30", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.2/30", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1/8", "10.0.0.2", "10.0.255.255"),  # one /16: libvirt takes no more
        ("10.7.0.1/8", "10.7.0.2", "10.7.255.255"),
        ("10.255.255.254/8", "10.255.0.0", "10.255.255.253"),
        ("fd00::1/64", "fd00::10", "fd00::ff"),
        ("fd00::10/64", "fd00::11", "fd00::ff"),
        ("fd00::f0/64", "fd00::10", "fd00::ef"),
    ],
)
def test_default_range(resolved: Resolve, host: str, first: str, last: str) -> None:
    key, other = ("ipv6", "ipv4") if ":" in host else ("ipv4", "ipv6")
    world, _ = resolved(f"networks: {{a: {{mode: nat, {key}: '{host}', {other}: none}}}}")
    side = world.networks[0].v4 or world.networks[0].v6
    assert side is not None
    assert side.pool == (ip_address(first), ip_address(last))


def test_as_many_guests_as_a_wide_subnet_promises(resolved: Resolve) -> None:
    guests = "\n".join(f"  g{number}: {{network: lab}}" for number in range(500))
    world, _ = resolved(f"networks: {{lab: {{mode: nat, ipv4: 10.84.0.1/16}}}}\nguests:\n{guests}\n")
    side = world.networks[0].v6
    assert side is not None
    assert side.pool is not None
    assert int(side.pool[1]) & 0xFFFF == 0xFFFF
    assert len({guest.nics[0].ipv6 for guest in world.guests}) == 500
    # A part of a prefix has no more than it has.
    part = choose.pool6(IPv6Interface("fd00::f:1/120"), IPv4Interface("10.84.0.1/16"))
    assert part == (ip_address("fd00::f:10"), ip_address("fd00::f:ff"))


def test_single_family_and_dhcp_off(resolved: Resolve) -> None:
    world, memory = resolved(
        "networks: {four: {mode: nat, ipv6: none},"
        " still: {mode: nat, ipv4: {address: 10.0.0.1/24, dhcp: false}, ipv6: none}}\n"
        "guests: {w1: {network: four, forwards: [80]}, w2: {network: still}, w3: {network: still, ipv4: 10.0.0.9}}\n"
    )
    assert memory.ula is None  # none was needed
    assert [network.nat6 for network in world.networks] == [False, False]
    assert len(world.guests[0].forwards) == 1
    assert [guest.nics[0].ipv4 and str(guest.nics[0].ipv4) for guest in world.guests[1:]] == [None, "10.0.0.9"]


def test_ranges_lease_and_the_rest(resolved: Resolve) -> None:
    world, _ = resolved(
        "networks: {a: {mode: nat, bridge: br-a, mac: 52-54-00-AA-00-01, domain: lab.internal, autostart: false,"
        " stp: false, nat: {ipv6: false, ports: 50000-65535},"
        " ipv4: {address: 10.0.0.1/24, ranges: [10.0.0.50 - 10.0.0.99], lease: 2d},"
        " ipv6: {ranges: ['::100-::1ff'], lease: 600}}}"
    )
    network = world.networks[0]
    assert (network.bridge, network.mac, network.domain) == ("br-a", "52:54:00:aa:00:01", "lab.internal")
    assert (network.autostart, network.stp, network.nat6) == (False, False, False)
    assert str(network.nat_ports) == "50000-65535"
    assert network.v4
    assert network.v4.pool == (ip_address("10.0.0.50"), ip_address("10.0.0.99"))
    assert network.v4.lease == 172800
    assert network.v6
    assert [int(end) & 0xFFFF for end in network.v6.pool or ()] == [0x100, 0x1FF]
    assert network.v6.lease == 600


def test_forwards_are_spelled_out(resolved: Resolve) -> None:
    world, _ = resolved(
        "networks: {a: {mode: nat, ipv4: 10.0.0.1/24, ipv6: 'fd00::1/64'},"
        " b: {mode: nat, ipv4: 10.0.1.1/24, ipv6: none}}\n"
        "guests:\n"
        "  w:\n"
        "    nics: [{network: a, ipv4: 10.0.0.9, ipv6: '::9'}, {network: b, ipv4: 10.0.1.9}]\n"
        "    forwards:\n"
        "      - 53/tcp+udp\n"
        "      - {ports: 10-11, to: 20-21, listen: [192.0.2.1, '2001:db8::1'], description: both}\n"
        "      - {ports: 30, network: b}\n"
        "      - {ports: 40, family: ipv6}\n"
        "      - {ports: 50, enabled: false}\n"
    )
    spelled = [
        (f.protocol, str(f.listen or ""), str(f.ports), str(f.to), str(f.target)) for f in world.guests[0].forwards
    ]
    assert spelled == [
        ("tcp", "192.0.2.1", "10-11", "20-21", "10.0.0.9"),
        ("tcp", "2001:db8::1", "10-11", "20-21", "fd00::9"),
        ("tcp", "", "30", "30", "10.0.1.9"),
        ("tcp", "", "40", "40", "fd00::9"),
        ("tcp", "", "53", "53", "10.0.0.9"),
        ("tcp", "", "53", "53", "fd00::9"),
        ("udp", "", "53", "53", "10.0.0.9"),
        ("udp", "", "53", "53", "fd00::9"),
    ]
    assert world.guests[0].forwards[0].description == "both"
    assert world.guests[0].forwards[2].network == "b"


def test_macs_come_from_the_file_then_from_libvirt(resolved: Resolve) -> None:
    text = (
        "networks: {a: {mode: nat}, b: {mode: nat}}\n"
        "guests: {w1: {network: b}, w2: {network: a, mac: '52:54:00:00:00:07'}, w3: {network: a}}\n"
    )
    macs = {"w1": (("a", "52:54:00:00:00:01"), ("b", "52:54:00:00:00:0A")), "w2": (("a", "52:54:00:00:00:03"),)}
    world, _ = resolved(text, macs=macs)
    assert [guest.nics[0].mac for guest in world.guests] == ["52:54:00:00:00:0a", "52:54:00:00:00:07", None]
    assert [guest.nics[0].written for guest in world.guests] == [False, True, False]
    shown = show(load_spec(text, "f"), world)
    assert resolved(shown, macs=macs)[0] == world
    assert "52:54:00:00:00:0a" not in shown


def test_sysctls_pass_through(resolved: Resolve) -> None:
    memory = Memory(sysctls={"net/ipv4/ip_forward": "0"})
    assert resolved(TWO, memory)[1].sysctls == memory.sysctls


NAMES = st.sampled_from(["a", "b", "c d", "ü", "no", "12"])
SIDE4 = st.sampled_from(["auto", "none", {"dhcp": False}, {"lease": "1h"}])
SIDE6 = st.sampled_from(["auto", "auto", {"ranges": ["::20-::2f"]}, {"dhcp": True}])
NETWORK = st.fixed_dictionaries(
    {"mode": st.just("nat"), "ipv4": SIDE4, "ipv6": SIDE6},
    optional={"stp": st.booleans(), "domain": st.just("x.y"), "nat": st.just({"ipv6": False, "ports": "1-9"})},
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, dict[str, object]]:
    networks = draw(st.dictionaries(NAMES, NETWORK, min_size=1, max_size=4))
    guests: dict[str, object] = {}
    for number, name in enumerate(draw(st.lists(NAMES, unique=True, max_size=5))):
        port = 1000 * (number + 1)
        forwards: list[object] = [port, f"{port + 1}:80/tcp+udp", {"ports": port + 2, "description": "a: b"}]
        forwards.append(
            {"ports": f"{port + 10}-{port + 19}", "listen": ["2001:db8::1", "2001:db8::2"], "enabled": False}
        )
        guests[name] = {"network": draw(st.sampled_from(sorted(networks))), "forwards": draw(st.permutations(forwards))}
    return {"networks": dict[str, object](networks), "guests": guests}


@given(documents(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_show_loads_to_the_same_world_and_order_means_nothing(
    document: dict[str, dict[str, object]], mix: Random
) -> None:
    spec = load_spec(json.dumps(document), "f")
    world, memory = filled(spec, Memory(), 1)
    assert filled(spec, memory, 2) == (world, memory)
    shown = load_spec(show(spec, world), "shown")
    again, _ = filled(shown, Memory(), 3)
    assert again == world
    assert show(shown, again) == show(spec, world)
    mixed = {key: dict(mix.sample(list(inner.items()), len(inner))) for key, inner in document.items()}
    assert filled(load_spec(json.dumps(mixed), "f"), Memory(), 1) == (world, memory)


def filled(spec: Spec, memory: Memory, seed: int) -> tuple[World, Memory]:
    random = Random(seed)  # noqa: S311  the same on every run
    return resolve(spec, memory, random=random, taken=Taken(), macs={})
