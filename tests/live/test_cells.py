"""Real guests in an isolated network: the cells of the matrix that fake guests alone would have to vouch for.

More of it, with host_access and br_netfilter, is in test_isolated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest
from lab.guest import RealGuest
from lab.host import IPV4, IPV6
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}
  cell: {mode: isolated, bridge: vcell, stp: false, ipv4: 10.9.2.1/24, ipv6: "fd00:9:0:2::1/64"}
guests:
  web: {network: lab, mac: "52:54:00:00:0c:01", ipv4: 10.9.1.10, ipv6: "::10"}
  c1: {network: cell, mac: "52:54:00:00:0c:02", ipv4: 10.9.2.10, ipv6: "::10"}
  c2: {network: cell, mac: "52:54:00:00:0c:03", ipv4: 10.9.2.11, ipv6: "::11"}
"""
# Who is where, in both families.
WEB, C1, C2 = ("10.9.1.10", "fd00:9:0:1::10"), ("10.9.2.10", "fd00:9:0:2::10"), ("10.9.2.11", "fd00:9:0:2::11")
HOST, INTERNET = (IPV4, IPV6), ("203.0.113.1", "2001:db8:1::1")
BRIDGES = (("10.9.1.1", "fd00:9:0:1::1"), ("10.9.2.1", "fd00:9:0:2::1"))
PROTOCOLS = ("tcp", "udp")


class World(NamedTuple):
    """Two real guests in the isolated network, a fake one in the nat network as a control."""

    lab: Lab
    web: FakeGuest
    c1: RealGuest
    c2: RealGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """DHCPv4 and DHCPv6 bring the reserved addresses in both networks."""
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        c1 = lab.host.define_guest("c1", "cell", "52:54:00:00:0c:02", ports=(80,), memory=128)
        c2 = lab.host.define_guest("c2", "cell", "52:54:00:00:0c:03", ports=(80,), memory=128)
        for guest in (c1, c2):
            guest.start()
        lab.host.echo(7, name="host")
        web = lab.host.fake_guest("web", "vlab", mac="52:54:00:00:0c:01")
        for one, expected in ((web, WEB), (c1, C1), (c2, C2)):
            assert tuple(map(str, one.wait_addresses())) == expected
        # Nobody is unreached for want of a route.
        c1.run("ip route replace default via 10.9.2.1; ip -6 route replace default via fd00:9:0:2::1 dev eth0")
        lab.inet.shell("ip route add 10.9.0.0/16 via 203.0.113.2; ip -6 route add fd00:9::/48 via 2001:db8:1::2")
        yield World(lab, web, c1, c2)


def answers(guest: RealGuest, addresses: tuple[str, str], port: int) -> int:
    """How many answer to the guest: each address is asked over TCP and UDP, all at once."""
    asked = [f"probe {protocol} {address} {port} 700 &" for address in addresses for protocol in PROTOCOLS]
    return guest.run("\n".join([*asked, "wait"])).stdout.count("answered")


def test_guests_of_one_network_reach_each_other(world: World) -> None:
    assert answers(world.c1, C2, 80) == 4
    assert answers(world.c2, C1, 80) == 4


@pytest.mark.parametrize("addresses", [*BRIDGES, HOST, INTERNET])
def test_they_reach_neither_the_host_nor_the_internet(world: World, addresses: tuple[str, str]) -> None:
    assert answers(world.c1, addresses, 7) == 0
    for protocol in PROTOCOLS:
        for address in addresses:
            assert world.web.probe(protocol, address, 7).answered, "the control"


def test_they_and_the_nat_network_do_not_reach_each_other(world: World) -> None:
    assert answers(world.c1, WEB, 80) == 0
    for protocol in PROTOCOLS:
        for address in C1:
            assert not world.web.probe(protocol, address, 80, timeout=0.5).answered


def test_neither_host_nor_internet_reaches_them(world: World) -> None:
    for protocol in PROTOCOLS:
        for address in C1:
            assert not world.lab.host.probe(protocol, address, 80, timeout=0.5).answered
            assert not world.lab.inet.probe(protocol, address, 80, timeout=0.5).answered
        for address in WEB:
            assert world.lab.host.probe(protocol, address, 80).peer == "web", "the control"
