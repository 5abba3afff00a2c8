"""Isolated networks, cell by cell, in both families and directions, with and without br_netfilter; packets decide.

`lab` is a nat network, `cell` an isolated one, `named` an isolated one with host_access: services.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest
from tests.live.conftest import apply
from tests.live.test_guard import ASK

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}
  cell: {mode: isolated, bridge: vcell, stp: false, ipv4: 10.9.2.1/24, ipv6: "fd00:9:0:2::1/64"}
  named:
    {mode: isolated, bridge: vnamed, stp: false, ipv4: 10.9.3.1/24, ipv6: "fd00:9:0:3::1/64", host_access: services}
guests:
  web: {network: lab, mac: "52:54:00:00:09:01", ipv4: 10.9.1.10, ipv6: "::10", forwards: ["8080:80"]}
  c1: {network: cell, mac: "52:54:00:00:09:02", ipv4: 10.9.2.10, ipv6: "::10"}
  c2: {network: cell, mac: "52:54:00:00:09:03", ipv4: 10.9.2.11, ipv6: "::11"}
  n1: {network: named, mac: "52:54:00:00:09:04", ipv4: 10.9.3.10, ipv6: "::10"}
"""


class World(NamedTuple):
    lab: Lab
    web: FakeGuest
    c1: FakeGuest
    c2: FakeGuest
    n1: FakeGuest


@pytest.fixture(scope="module", params=[0, 1], ids=["bridge_nf=0", "bridge_nf=1"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Lab(bridge_nf=request.param) as lab:
        apply(lab.host, FILE)
        lab.host.echo(7, name="host")
        plugs = {"web": ("vlab", 1), "c1": ("vcell", 2), "c2": ("vcell", 3), "n1": ("vnamed", 4)}
        guests = [lab.host.fake_guest(name, bridge, mac=f"52:54:00:00:09:0{n}") for name, (bridge, n) in plugs.items()]
        expected = [("10.9.1.10", "1::10"), ("10.9.2.10", "2::10"), ("10.9.2.11", "2::11"), ("10.9.3.10", "3::10")]
        for guest, (v4, v6) in zip(guests, expected, strict=True):
            # Without a route out dhcpcd has no default route to wait for, in an isolated network.
            found = [str(address) for address in guest.wait_addresses()]
            assert found == [v4, f"fd00:9:0:{v6}"], f"{guest.name}: DHCPv4 and DHCPv6 arrive"
        yield World(lab, *guests)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["10.9.2.11", "fd00:9:0:2::11"])
def test_guests_of_one_network_reach_each_other(world: World, protocol: str, address: str) -> None:
    assert world.c1.probe(protocol, address, 80).peer == "c2"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    "address", ["10.9.2.1", "fd00:9:0:2::1", "203.0.113.2", "2001:db8:1::2", "10.9.1.1", "fd00:9:0:1::1"]
)
def test_guests_do_not_reach_the_host(world: World, protocol: str, address: str) -> None:
    """At any of its addresses; a guest of the nat network, as a control, does."""
    for guest in (world.c1, world.n1):
        assert guest.probe(protocol, address, 7, timeout=0.5).kind != "answered"
    if not address.startswith(("10.9.2", "fd00:9:0:2")):
        assert world.web.probe(protocol, address, 7).peer == "host"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("net", [2, 3])
def test_the_host_does_not_reach_guests(world: World, protocol: str, net: int) -> None:
    for address in (f"10.9.{net}.10", f"fd00:9:0:{net}::10"):
        assert world.lab.host.probe(protocol, address, 80, timeout=0.5).kind != "answered"
    for address in ("10.9.1.10", "fd00:9:0:1::10"):
        assert world.lab.host.probe(protocol, address, 80).peer == "web"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_guests_do_not_reach_the_internet_nor_it_them(world: World, protocol: str) -> None:
    """Not even with routes on both sides."""
    shell = "ip route replace default via 10.9.{n}.1; ip -6 route replace default via fd00:9:0:{n}::1"
    world.c1.shell(shell.format(n=2))
    world.n1.shell(shell.format(n=3))
    for guest in (world.c1, world.n1):
        for router in ("203.0.113.1", "2001:db8:1::1"):
            assert guest.probe(protocol, router, 7, timeout=0.5).kind != "answered"
            assert world.web.probe(protocol, router, 7).peer == "inet"
    world.lab.inet.shell(
        "ip route replace 10.9.0.0/16 via 203.0.113.2; ip -6 route replace fd00:9::/48 via 2001:db8:1::2"
    )
    for address in ("10.9.2.10", "fd00:9:0:2::10", "10.9.3.10", "fd00:9:0:3::10"):
        assert world.lab.inet.probe(protocol, address, 80, timeout=0.5).kind != "answered"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_other_networks_do_not_reach_them_nor_they_others(world: World, protocol: str) -> None:
    for n in (2, 3):
        for address in (f"10.9.{n}.10", f"fd00:9:0:{n}::10"):
            assert world.web.probe(protocol, address, 80, timeout=0.5).kind != "answered"
    for guest in (world.c1, world.n1):
        for address in ("10.9.1.10", "fd00:9:0:1::10"):
            assert guest.probe(protocol, address, 80, timeout=0.5).kind != "answered"


def test_no_way_in_through_a_forward_of_the_host(world: World) -> None:
    """A forward of a nat guest is no way out of a cell."""
    for address in ("203.0.113.2", "2001:db8:1::2"):
        assert world.c1.probe("tcp", address, 8080, timeout=0.5).kind != "answered"


@pytest.mark.parametrize("server", ["10.9.{n}.1", "fd00:9:0:{n}::1"])
def test_dns_only_with_services(world: World, server: str) -> None:
    """The host answers; to names outside with REFUSED (5), because libvirt keeps an isolated network's DNS local."""
    asked = bytes.fromhex(world.n1.run(["/usr/bin/python3", "-c", ASK, server.format(n=3)]).stdout)
    assert (asked[:2], asked[3] & 15) == (b"\0\7", 5)
    refused = world.c1.run(["/usr/bin/python3", "-c", ASK, server.format(n=2)], check=False)
    assert refused.returncode != 0


def test_without_our_table_there_is_no_isolation(world: World) -> None:
    """Shows that the tests above can fail: libvirt alone lets guests reach the host."""
    world.lab.host.run(["nft", "delete", "table", "inet", "guestnet"])
    assert world.c1.probe("tcp", "10.9.2.1", 7).peer == "host"
    assert world.lab.host.probe("tcp", "fd00:9:0:2::10", 80).peer == "c1"
    apply(world.lab.host)
    assert world.c1.probe("tcp", "10.9.2.1", 7, timeout=0.5).kind != "answered"


HEAR = """
import select, socket
heard = []
for family, address, port in ((socket.AF_INET, "0.0.0.0", 68), (socket.AF_INET6, "::", 546)):
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((address, port))
    heard.append(one)
print("ready", flush=True)
ready = select.select(heard, [], [], 1.0)[0]
print([one.recv(100) for one in ready])
"""
SAY = """
import socket
for family, own, port, to in (
    (socket.AF_INET, "0.0.0.0", 67, ("203.0.113.2", 68)),
    (socket.AF_INET, "0.0.0.0", 67, ("10.9.2.1", 68)),
    (socket.AF_INET6, "::", 547, ("fd00:9:0:2::1", 546)),
):
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((own, port))
    one.sendto(b"x", to)
"""


def test_guests_do_not_speak_to_the_hosts_own_dhcp_clients(world: World) -> None:
    """What a DHCP server sends comes from the host to guests, never the other way."""
    started = world.lab.host.popen(["python3", "-c", HEAR])
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    world.c1.run(["python3", "-c", SAY])
    assert started.communicate(timeout=10)[0].strip() == "[]"
