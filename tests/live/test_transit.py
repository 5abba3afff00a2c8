"""What no forward may take: packets and connections to an address that is not the host's. Far ends answer, and say who
they are, on each port that is forwarded, so a forward that took one would be seen; in both families."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.probe import Probes
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

EVERYBODY = '[203.0.113.0/24, 198.51.100.0/24, 10.9.0.0/16, "2001:db8::/32", "fd00:9::/32"]'
FILE = f"""
networks:
  lab: {{mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}}
  pub: {{mode: routed, bridge: vpub, stp: false, ipv4: 10.9.2.1/24, ipv6: "2001:db8:66:2::1/64", inbound: open}}
guests:
  web:
    network: lab
    ipv4: 10.9.1.10
    ipv6: "::10"
    forwards:
      - 5000/tcp+udp
      - {{ports: 5001, listen: [203.0.113.2, "2001:db8:1::2"], protocol: tcp+udp}}
      - {{ports: 5002, listen: up0, protocol: tcp+udp}}
      - {{ports: 5003, from: {EVERYBODY}, protocol: tcp+udp}}
      - {{ports: 5004, from: {EVERYBODY}, listen: [203.0.113.2, "2001:db8:1::2"], protocol: tcp+udp}}
      - {{ports: 5005, from: {EVERYBODY}, listen: up0, protocol: tcp+udp}}
      - {{ports: 5006, loopback: true, protocol: tcp+udp}}
      - {{ports: 20000-20299, protocol: tcp+udp}}
      - {{ports: 21000-21299, from: {EVERYBODY}, protocol: tcp+udp}}
      - {{ports: 22000-22299, listen: [203.0.113.2, "2001:db8:1::2"], protocol: tcp+udp}}
      - {{ports: 23000-23299, listen: up0, protocol: tcp+udp}}
      - {{ports: 40000-40001, to: 50000-50001, protocol: tcp+udp}}
  one:
    network: lab
    ipv4: 10.9.1.11
    ipv6: "::11"
    forwards: [{{protocol: all, listen: [203.0.113.7, "2001:db8:1::7"]}}]
  neighbour: {{network: pub, ipv4: 10.9.2.10, ipv6: "::10"}}
"""
PORTS = (5000, 5001, 5002, 5003, 5004, 5005, 5006, 20100, 21100, 22100, 23100, 40000)
WHOLE = {4: "203.0.113.7", 6: "2001:db8:1::7"}
HOST = {4: "203.0.113.2", 6: "2001:db8:1::2"}
FAR = {4: "198.51.100.7", 6: "2001:db8:99::7"}
NEIGHBOUR = {4: "10.9.2.10", 6: "2001:db8:66:2::10"}
INET = {4: "203.0.113.1", 6: "2001:db8:1::1"}
EACH = [(protocol, family) for protocol in ("tcp", "udp") for family in (4, 6)]
HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"


class World(NamedTuple):
    lab: Lab
    guests: dict[str, FakeGuest]


@pytest.fixture(scope="module", params=[0, 1], ids=["plain", "br_netfilter"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """`far` is behind a bridge of the host that is not guestnet's; the internet reaches it through the host."""
    with Lab(bridge_nf=request.param) as lab:
        lab.host.shell(
            "ip addr add 203.0.113.7/24 dev up0; ip addr add 2001:db8:1::7/64 dev up0 nodad\n"
            "ip link add vfar type bridge; ip link set vfar up\n"
            "ip addr add 198.51.100.1/24 dev vfar; ip addr add 2001:db8:99::1/64 dev vfar nodad"
        )
        lab.inet.shell(
            "for net in 198.51.100.0/24 10.9.0.0/16; do ip route add $net via 203.0.113.2; done\n"
            "for net in 2001:db8:99::/64 2001:db8:66::/48; do ip -6 route add $net via 2001:db8:1::2; done"
        )
        apply(lab.host, FILE)
        for name in ("web", "one"):
            lab.host.write(f"/run/libvirt/qemu/{name}.xml", "<domstatus/>")
            lab.host.run([HOOK, name, "started", "begin", "-"], input="")
        plugs = {
            "web": ("vlab", Static("10.9.1.10/24", "fd00:9:0:1::10/64", "10.9.1.1", "fd00:9:0:1::1")),
            "one": ("vlab", Static("10.9.1.11/24", "fd00:9:0:1::11/64", "10.9.1.1", "fd00:9:0:1::1")),
            "neighbour": ("vpub", Static("10.9.2.10/24", "2001:db8:66:2::10/64", "10.9.2.1", "2001:db8:66:2::1")),
            "far": ("vfar", Static("198.51.100.7/24", "2001:db8:99::7/64", "198.51.100.1", "2001:db8:99::1")),
        }
        served = {"web": (*PORTS, 50000)}
        guests = {
            name: lab.host.fake_guest(name, bridge, plug=plug, ports=served.get(name, PORTS))
            for name, (bridge, plug) in plugs.items()
        }
        for guest in guests.values():
            guest.wait_addresses()
        lab.inet.echo(*PORTS, name="inet")
        yield World(lab, guests)


def peers(asking: Probes, protocol: str, address: str) -> set[str]:
    """Who answers on the ports that are forwarded; and what happened instead."""
    found = [(port, asking.probe(protocol, address, port, timeout=5)) for port in PORTS]
    return {got.peer or f"{port}: {got.kind} {got.text}" for port, got in found}


@pytest.mark.parametrize(("protocol", "family"), EACH)
def test_each_is_a_forward_at_the_hosts_own_address(world: World, protocol: str, family: int) -> None:
    """So there is something in force that could take the rest."""
    assert peers(world.lab.inet, protocol, HOST[family]) == {"web"}
    assert peers(world.lab.inet, protocol, WHOLE[family]) <= {"web", "one"}
    assert world.lab.inet.probe(protocol, WHOLE[family], 5001).peer == "one"


@pytest.mark.parametrize(("protocol", "family"), EACH)
def test_from_the_internet_through_the_host(world: World, protocol: str, family: int) -> None:
    assert peers(world.lab.inet, protocol, FAR[family]) == {"far"}, "to a network that is not guestnet's"
    assert peers(world.lab.inet, protocol, NEIGHBOUR[family]) == {"neighbour"}, "to a guest of another network"


@pytest.mark.parametrize(("protocol", "family"), EACH)
@pytest.mark.parametrize("guest", ["web", "one", "neighbour"])
def test_from_guests_to_others(world: World, protocol: str, family: int, guest: str) -> None:
    """`one` has a whole address of the host, `web` is whom the forwards lead to."""
    asking = world.guests[guest]
    assert peers(asking, protocol, FAR[family]) == {"far"}
    assert peers(asking, protocol, INET[family]) == {"inet"}
    if guest != "neighbour":
        assert peers(asking, protocol, NEIGHBOUR[family]) == {"neighbour"}


@pytest.mark.parametrize(("protocol", "family"), EACH)
def test_from_another_network_of_the_host(world: World, protocol: str, family: int) -> None:
    """It comes in through another NIC than the forwards listen on, and leaves through that one."""
    world.lab.inet.probe("tcp", FAR[family], 5000)
    assert peers(world.guests["far"], protocol, INET[family]) == {"inet"}
    assert peers(world.guests["far"], protocol, NEIGHBOUR[family]) == {"neighbour"}


@pytest.mark.parametrize(("protocol", "family"), EACH)
def test_the_hosts_own_connections_to_others(world: World, protocol: str, family: int) -> None:
    """They pass the chain `output`, which takes those to the host's own addresses alone."""
    host = world.lab.host
    assert peers(host, protocol, FAR[family]) == {"far"}
    assert peers(host, protocol, INET[family]) == {"inet"}
    assert peers(host, protocol, NEIGHBOUR[family]) == {"neighbour"}
    assert host.probe(protocol, HOST[family], 5000).peer == "web", "that one does take"


def test_the_rule_is_what_keeps_it_out(world: World) -> None:
    """Without it forwards on any address take what passes through: the far ends above were there to be taken from."""
    host = world.lab.host
    rules = host.run(["nft", "-a", "list", "chain", "inet", "guestnet", "prerouting"]).stdout
    handle = next(line.rpartition(" ")[2] for line in rules.splitlines() if "fib daddr type != local return" in line)
    host.run(["nft", "delete", "rule", "inet", "guestnet", "prerouting", "handle", handle])
    assert {world.lab.inet.probe("tcp", FAR[4], port, timeout=1).peer for port in (5000, 5003, 20100)} == {"web"}
    apply(host)
