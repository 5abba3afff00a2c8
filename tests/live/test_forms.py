"""Forwards and networks in their less common forms, by packets: the second NIC, shifted ranges, one family only, no
DHCP, host_access full, addresses that nft spells in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.process import wait_for
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}
  two: {mode: nat, bridge: vtwo, stp: false, ipv4: 10.9.2.1/24, ipv6: "fd00:9:0:2::1/64"}
  four: {mode: nat, bridge: vfour, stp: false, ipv4: {address: 10.9.4.1/24, dhcp: false}, ipv6: none}
  six: {mode: nat, bridge: vsix, stp: false, ipv4: none, ipv6: {address: "fd00:9:0:6::1/64", dhcp: false}}
  full: {mode: isolated, bridge: vfull, stp: false, ipv4: 10.9.5.1/24, ipv6: "fd00:9:0:5::1/64", host_access: full}
guests:
  web:
    nics: [{network: lab, ipv4: 10.9.1.10, ipv6: "::10"}, {network: two, ipv4: 10.9.2.10, ipv6: "::10"}]
    forwards:
      - 8080:80
      - {ports: 8081, to: 80, network: two, protocol: tcp+udp}
      - 7000-7002:8078-8080/tcp+udp
      - "[2001:db8:1::5:6]:8090:80"
      - {ports: 8091, to: 80, from: "::1.2.3.4"}
  w4: {network: four, ipv4: 10.9.4.10, forwards: ["8085:80/tcp+udp"]}
  w6: {network: six, ipv6: "::10", forwards: ["8086:80/tcp+udp"]}
"""
PORTS = (80, 8078, 8079, 8080)
V4, V6 = "203.0.113.2", "2001:db8:1::2"


class World(NamedTuple):
    lab: Lab
    guests: dict[str, FakeGuest]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        for name, network in (("web", "lab"), ("w4", "four"), ("w6", "six")):
            lab.host.define_guest(name, network, memory=16)
            lab.host.virsh("start", name, "--paused")
        wait_for("the forwards", lambda: "8086" in elements(lab.host) and "8085" in elements(lab.host))
        plugs = {
            "web": ("vlab", Static("10.9.1.10/24", "fd00:9:0:1::10/64", "10.9.1.1", "fd00:9:0:1::1")),
            "web-two": ("vtwo", Static("10.9.2.10/24", "fd00:9:0:2::10/64", "10.9.2.1", "fd00:9:0:2::1")),
            "w4": ("vfour", Static("10.9.4.10/24", None, "10.9.4.1", None)),
            "w6": ("vsix", Static(None, "fd00:9:0:6::10/64", None, "fd00:9:0:6::1")),
            "f1": ("vfull", Static("10.9.5.10/24", "fd00:9:0:5::10/64", "10.9.5.1", "fd00:9:0:5::1")),
        }
        made = {
            name: lab.host.fake_guest(name, bridge, plug=plug, ports=PORTS) for name, (bridge, plug) in plugs.items()
        }
        lab.host.echo(7, name="host")
        yield World(lab, made)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", [V4, V6])
def test_forwards(world: World, protocol: str, address: str) -> None:
    ask = world.lab.inet.probe
    assert ask(protocol, address, 8081).text.startswith(f"web-two {protocol} 80"), "network: the second NIC"
    for port, to in ((7000, 8078), (7001, 8079), (7002, 8080)):
        assert ask(protocol, address, port).text.startswith(f"web {protocol} {to}")
    assert ask(protocol, address, 7003).kind == "refused"
    only = {8085: V4, 8086: V6}
    for port, family in only.items():
        answer = ask(protocol, address, port)
        assert answer.kind == ("answered" if address == family else "refused"), (port, answer)
    assert ask("tcp", address, 8080).text.startswith("web tcp 80"), "without network: the first NIC"


def test_nothing_differs_though_nft_spells_addresses_its_own_way(world: World) -> None:
    assert "::5:6" in elements(world.lab.host).replace("0.5.0.6", "5:6")
    assert "Nothing to do" in apply(world.lab.host)


def test_host_access_full(world: World) -> None:
    guest, host = world.guests["f1"], world.lab.host
    for protocol in ("tcp", "udp"):
        for own, its in (("10.9.5.1", "10.9.5.10"), ("fd00:9:0:5::1", "fd00:9:0:5::10")):
            assert guest.probe(protocol, own, 7).peer == "host"
            assert host.probe(protocol, its, 80).peer == "f1"
        assert guest.probe(protocol, V4, 7).peer == "host"
        for outside in ("203.0.113.1", "2001:db8:1::1", "10.9.1.10"):
            assert not guest.probe(protocol, outside, 80, timeout=0.4).answered


def test_without_dhcp_nobody_gets_an_address(world: World) -> None:
    assert "<dhcp>" not in world.lab.host.virsh("net-dumpxml", "four").stdout
    assert "<dhcp>" not in world.lab.host.virsh("net-dumpxml", "six").stdout


SWAPS = {
    "bridge vtwo of network lab is still that of network two": ("bridge: vlab", "bridge: vtwo"),
    "10.9.2.0/24 of network lab is still that of network two": ("10.9.1.1/24", "10.9.2.1/24"),
}


def test_what_cannot_be_swapped_in_one_step_is_told_before(world: World) -> None:
    networks = "networks:\n" + "".join(line + "\n" for line in FILE.splitlines()[2:4])
    for problem, (one, other) in SWAPS.items():
        text = networks.replace(one, "?").replace(other, one).replace("?", other)
        world.lab.host.write("/run/swap.yaml", text)
        done = world.lab.host.guestnet("-f", "/run/swap.yaml", "apply", "--yes", check=False)
        assert done.returncode == 1
        assert problem in done.stderr, done.stderr
        assert "nothing was touched" in done.stderr


def test_a_network_renamed_keeps_its_written_bridge(world: World) -> None:
    """Last: its guests go with the old name."""
    renamed = FILE.replace("  six: {", "  sixth: {").replace("network: six", "network: sixth")
    out = apply(world.lab.host, renamed)
    assert "network six removed" in out
    assert "network sixth defined and started" in out
    assert "Nothing to do" in apply(world.lab.host)
