"""Mode routed with a real guest: reached at its own address; by proxy ARP where the router upstream has no route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.guest import RealGuest
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  dmz: {mode: routed, bridge: virbr5, ipv4: 198.51.100.1/24, ipv6: "2001:db8:5::1/64"}
  part:
    {mode: routed, bridge: virbr6, stp: false, ipv4: 203.0.113.129/25, ipv6: none, uplink: up0, proxy_arp: true}
guests:
  www: {network: dmz, mac: "52:54:00:00:1b:01", ipv4: 198.51.100.10, ipv6: "::10", forwards: ["8443:80"]}
  near: {network: part, mac: "52:54:00:00:1b:02", ipv4: 203.0.113.200}
"""


class World(NamedTuple):
    lab: Lab
    www: RealGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        said = " ".join(apply(lab.host, FILE).split())
        for route in (
            "ip route add 198.51.100.0/24 via 203.0.113.2",
            "ip -6 route add 2001:db8:5::/64 via 2001:db8:1::2",
        ):
            assert f"the router upstream needs a route to it: {route}" in said
            lab.inet.shell(route)  # as the plan has it, pasted
        assert "203.0.113.128/25 via" not in said, "proxy ARP needs none"
        lab.host.libvirtd.restart()
        guest = lab.host.define_guest("www", "dmz", "52:54:00:00:1b:01")
        guest.start()
        assert [str(address) for address in guest.wait_addresses()] == ["198.51.100.10", "2001:db8:5::10"]
        yield World(lab, guest)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_both_ways_without_nat(world: World, protocol: str) -> None:
    for address, client in (("198.51.100.10", "203.0.113.9"), ("2001:db8:5::10", "2001:db8:1::9")):
        assert world.lab.inet.probe(protocol, address, 22, source=client).text == f"www {protocol} 22 from {client}"
    for router, own in (("203.0.113.1", "198.51.100.10"), ("2001:db8:1::1", "2001:db8:5::10")):
        assert world.www.probe(protocol, router, 7).text == f"inet {protocol} 7 from {own}"


def test_a_forward_works_too(world: World) -> None:
    assert world.lab.inet.probe("tcp", "203.0.113.2", 8443, source="203.0.113.9").text == "www tcp 80 from 203.0.113.9"


def test_proxy_arp(world: World) -> None:
    """The network is a part of the uplink's own subnet; nobody out there has a route."""
    near = world.lab.host.fake_guest("near", "virbr6", mac="52:54:00:00:1b:02")
    assert str(near.wait_addresses(v6=False)[0]) == "203.0.113.200"
    assert world.lab.inet.probe("tcp", "203.0.113.200", 80, source="203.0.113.9").text == "near tcp 80 from 203.0.113.9"
    assert near.probe("tcp", "203.0.113.1", 7).text == "inet tcp 7 from 203.0.113.200"
    assert world.lab.host.sysctl("ipv4/conf/up0/proxy_arp") == "1"
    near.stop()


def test_the_plan_is_empty_and_going_gives_the_sysctl_back(world: World) -> None:
    assert "Nothing to do" in apply(world.lab.host)
    apply(world.lab.host, "networks: {}\n")
    assert world.lab.host.sysctl("ipv4/conf/up0/proxy_arp") == "0"
    assert not world.lab.host.exists("/etc/sysctl.d/90-guestnet.conf")
