"""Whole addresses, large ranges, the host's own loopback, ports open at a guest's own address: by
packets, in both families."""

from __future__ import annotations

import json
import signal
import subprocess
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
  pub:
    mode: nat
    bridge: vpub
    stp: false
    ipv4: 10.9.2.1/24
    ipv6: "2001:db8:66:2::1/64"
    nat: {ipv6: false}
guests:
  one:
    network: lab
    ipv4: 10.9.1.10
    ipv6: "::10"
    forwards:
      - {listen: [203.0.113.7, "2001:db8:1::7"], protocol: all}
      - 203.0.113.7:9001:8080
  web:
    network: lab
    ipv4: 10.9.1.11
    ipv6: "::11"
    forwards:
      - {ports: 20000-29999, protocol: tcp+udp}
      - {ports: 25000, to: 80, protocol: tcp+udp, listen: [203.0.113.2, "2001:db8:1::2"]}
      - {ports: 40000-40300, to: 50000-50300}
      - {ports: 30000-30999, from: 203.0.113.9, family: ipv4}
      - {ports: 8080, to: 80, protocol: tcp+udp, loopback: true}
  own:
    network: pub
    ipv4: 10.9.2.10
    ipv6: "::10"
    forwards:
      - 8443:80/tcp+udp
      - {ports: 8444, to: 8080, from: "2001:db8:1::9"}
"""
PORTS = (22, 80, 8080, 20000, 25000, 29999, 30500, 50300)
BOTH = ("tcp", "udp")


class World(NamedTuple):
    lab: Lab
    guests: dict[str, FakeGuest]


@pytest.fixture(scope="module", params=[0, 1], ids=["plain", "br_netfilter"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The domains run, for the hooks; fake guests with the reserved addresses answer for them."""
    with Lab(bridge_nf=request.param) as lab:
        lab.host.shell("ip addr add 203.0.113.7/24 dev up0; ip addr add 2001:db8:1::7/64 dev up0 nodad")
        lab.inet.shell("ip -6 route add 2001:db8:66::/48 via 2001:db8:1::2; ip route add 10.9.0.0/16 via 203.0.113.2")
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        for name, network in (("one", "lab"), ("web", "lab"), ("own", "pub")):
            lab.host.define_guest(name, network, memory=16)
            lab.host.virsh("start", name, "--paused")
        wait_for("the forwards", lambda: all(port in elements(lab.host) for port in ("9001", "25000", "8443")))
        plugs = {
            "one": ("vlab", Static("10.9.1.10/24", "fd00:9:0:1::10/64", "10.9.1.1", "fd00:9:0:1::1")),
            "web": ("vlab", Static("10.9.1.11/24", "fd00:9:0:1::11/64", "10.9.1.1", "fd00:9:0:1::1")),
            "own": ("vpub", Static("10.9.2.10/24", "2001:db8:66:2::10/64", "10.9.2.1", "2001:db8:66:2::1")),
        }
        guests = {
            name: lab.host.fake_guest(name, bridge, plug=plug, ports=PORTS) for name, (bridge, plug) in plugs.items()
        }
        for guest in guests.values():
            guest.wait_addresses()
        yield World(lab, guests)


@pytest.mark.parametrize("protocol", BOTH)
def test_a_whole_address_is_the_guests_whatever_the_port(world: World, protocol: str) -> None:
    for address, client in (("203.0.113.7", "203.0.113.9"), ("2001:db8:1::7", "2001:db8:1::9")):
        for port in (22, 80, 8080):
            got = world.lab.inet.probe(protocol, address, port, source=client)
            assert got.text == f"one {protocol} {port} from {client}"


def test_a_forward_of_that_address_goes_before(world: World) -> None:
    assert world.lab.inet.probe("tcp", "203.0.113.7", 9001).text.startswith("one tcp 8080")


def test_a_whole_address_answers_pings(world: World) -> None:
    """By its own ICMP: the packets are seen inside the guest."""
    before = world.guests["one"].run(["cat", "/proc/net/snmp"]).stdout
    assert world.lab.inet.run(["busybox", "ping", "-c", "2", "-W", "2", "203.0.113.7"], check=False).returncode == 0
    assert world.lab.inet.run(["busybox", "ping6", "-c", "2", "-W", "2", "2001:db8:1::7"], check=False).returncode == 0
    assert echoes(world.guests["one"].run(["cat", "/proc/net/snmp"]).stdout) - echoes(before) == 2


def echoes(snmp: str) -> int:
    head, row = (line.split() for line in snmp.splitlines() if line.startswith("Icmp:"))
    return int(row[head.index("InEchos")])


@pytest.mark.parametrize("protocol", BOTH)
def test_and_the_guest_has_it_towards_others(world: World, protocol: str) -> None:
    assert world.guests["one"].probe(protocol, "203.0.113.1", 7).text == f"inet {protocol} 7 from 203.0.113.7"
    assert world.guests["one"].probe(protocol, "2001:db8:1::1", 7).text == f"inet {protocol} 7 from 2001:db8:1::7"
    assert world.guests["web"].probe(protocol, "203.0.113.1", 7).text == f"inet {protocol} 7 from 203.0.113.2"
    assert world.guests["one"].probe(protocol, "10.9.1.11", 80).text.endswith("from 10.9.1.10"), "not towards guests"


def test_an_address_that_the_host_has_not_leaves_the_guest_its_way_out(world: World) -> None:
    lab, host = world.lab, world.lab.host
    said = " ".join(apply(host, FILE.replace("[203.0.113.7, ", "[203.0.113.77, ")).split())
    try:
        assert "the host does not have 203.0.113.77, which is to be guest one's as a whole" in said
        assert "Nothing to do" in apply(host)
        assert world.guests["one"].probe("tcp", "203.0.113.1", 7).text == "inet tcp 7 from 203.0.113.2"
        host.virsh("destroy", "one")
        host.virsh("start", "one", "--paused")
        wait_for("the hook", lambda: "203.0.113.77" in elements(host))
        assert world.guests["one"].probe("tcp", "203.0.113.1", 7).text == "inet tcp 7 from 203.0.113.2", "by the hook"
        host.shell("ip addr add 203.0.113.77/24 dev up0")
        assert lab.inet.probe("tcp", "203.0.113.77", 80).text.startswith("one tcp 80"), "in at once"
        said = " ".join(apply(host).split())
        assert "+ forward what the guest opens goes out as 203.0.113.77 (IPv4)" in said
        assert world.guests["one"].probe("tcp", "203.0.113.1", 7).text == "inet tcp 7 from 203.0.113.77"
    finally:
        host.run(["ip", "addr", "del", "203.0.113.77/24", "dev", "up0"], check=False)
        apply(host, FILE)
    assert world.guests["one"].probe("tcp", "203.0.113.1", 7).text == "inet tcp 7 from 203.0.113.7"


@pytest.mark.parametrize("protocol", BOTH)
def test_the_hosts_other_address_is_not_given_away(world: World, protocol: str) -> None:
    assert world.lab.inet.probe(protocol, "203.0.113.2", 22).kind == "refused"


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("host", ["203.0.113.2", "2001:db8:1::2"])
def test_large_ranges_keep_their_ports(world: World, protocol: str, host: str) -> None:
    for port in (20000, 29999):
        assert world.lab.inet.probe(protocol, host, port).text.startswith(f"web {protocol} {port} ")
    assert world.lab.inet.probe(protocol, host, 25000).text.startswith(f"web {protocol} 80 "), "the address goes before"
    assert world.lab.inet.probe(protocol, host, 19999).kind == "refused"


def test_large_ranges_with_a_source_and_shifted_ones(world: World) -> None:
    assert world.lab.inet.probe("tcp", "203.0.113.2", 30500, source="203.0.113.9").text.startswith("web tcp 30500 ")
    assert world.lab.inet.probe("tcp", "203.0.113.2", 30500, source="203.0.113.10").kind == "refused"
    assert world.lab.inet.probe("tcp", "203.0.113.2", 40300).text.startswith("web tcp 50300 ")


@pytest.mark.parametrize("protocol", BOTH)
def test_a_port_is_open_at_the_guests_own_global_address_too(world: World, protocol: str) -> None:
    own = "2001:db8:66:2::10"
    assert world.lab.inet.probe(protocol, own, 80, source="2001:db8:1::9").text == (
        f"own {protocol} 80 from 2001:db8:1::9"
    )
    assert world.lab.inet.probe(protocol, own, 22).kind == "refused", "the rest is closed"
    assert world.lab.inet.probe(protocol, "10.9.2.10", 80).kind == "refused", "a private address is no global one"
    if protocol == "tcp":
        assert world.lab.inet.probe("tcp", own, 8080, source="2001:db8:1::9").answered
        assert world.lab.inet.probe("tcp", own, 8080, source="2001:db8:1::10").kind == "refused", "from"


@pytest.mark.parametrize("protocol", BOTH)
def test_the_hosts_own_loopback(world: World, protocol: str) -> None:
    got = world.lab.host.probe(protocol, "127.0.0.1", 8080)
    assert got.text == f"web {protocol} 80 from 10.9.1.1", "the guest sees the host"
    assert world.lab.inet.probe(protocol, "203.0.113.2", 8080, source="203.0.113.9").text.endswith("from 203.0.113.9")


def test_loopback_is_nobody_elses(world: World) -> None:
    """What route_localnet lets in: a guest that speaks to the host's 127.0.0.1, or as it."""
    host = world.lab.host
    assert host.sysctl("ipv4/conf/vlab/route_localnet") == "1"
    assert host.sysctl("ipv4/conf/vpub/route_localnet") == "0"
    service = host.popen(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "7777"])
    try:
        wait_for("the host's own service", lambda: host.probe("tcp", "127.0.0.1", 7777).kind == "answered")
        guest = world.guests["web"]
        guest.shell(
            "for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 > $f; done\n"
            "ip route del local 127.0.0.0/8 table local dev lo || true; ip addr del 127.0.0.1/8 dev lo || true\n"
            "ip route add 127.0.0.0/8 via 10.9.1.1"
        )
        assert guest.probe("tcp", "127.0.0.1", 7777, timeout=0.5).kind == "timeout"
        assert guest.probe("tcp", "127.0.0.1", 8080, timeout=0.5).kind == "timeout"
        host.run(["nft", "flush", "chain", "inet", "guestnet", "martians"])
        assert guest.probe("tcp", "127.0.0.1", 7777).answered, "those rules are what keeps it out"
        apply(host)
    finally:
        host.send_signal(service, signal.SIGTERM)
        service.wait(timeout=5)


# Sends a byte for each line it reads, over TCP and UDP to each of the ports, and says what came back.
CLIENT = """
import socket, sys
kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
links = [socket.socket(socket.AF_INET6, kind) for _ in sys.argv[2:] for kind in kinds]
for i, link in enumerate(links):
    link.settimeout(1)
    link.connect((sys.argv[1], int(sys.argv[2 + i // 2])))
for line in sys.stdin:
    found = []
    for link in links:
        try:
            link.send(b"x")
            found.append(link.recv(9).decode() or "end")
        except OSError:
            found.append("lost")
    print(*found, flush=True)
"""
SERVER = """
import socketserver, sys, threading
class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(9):
            self.request.send(b"tcp")
class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(b"udp", self.client_address)
socketserver.TCPServer.address_family = socketserver.UDPServer.address_family = 10
for port in map(int, sys.argv[1:]):
    for server in (socketserver.ThreadingTCPServer(("::", port), Tcp), socketserver.UDPServer(("::", port), Udp)):
        threading.Thread(target=server.serve_forever).start()
"""


def test_connections_to_the_guests_own_address_end_with_the_forward_that_opened_it(world: World) -> None:
    """And those by another forward, or by one whose `from` still has the client, go on."""
    lab, own = world.lab, "2001:db8:66:2::10"
    anybody, some, other = "9000/tcp+udp", "{ports: 9001, protocol: tcp+udp%s}", '"2001:db8:1::/64"'
    text = FILE.replace("      - 8443:80", f"      - {anybody}\n      - {some}\n      - 9002/tcp+udp\n      - 8443:80")
    apply(lab.host, text % "")
    server = world.guests["own"].popen(["/usr/bin/python3", "-c", SERVER, "9000", "9001", "9002"])
    wait_for("the service", lambda: ":9002" in world.guests["own"].run(["ss", "-lun"]).stdout)
    client = lab.inet.popen(["/usr/bin/python3", "-c", CLIENT, own, "9000", "9001", "9002"], stdin=subprocess.PIPE)

    def again() -> list[str]:
        assert client.stdin is not None
        assert client.stdout is not None
        print(file=client.stdin, flush=True)
        return client.stdout.readline().split()

    try:
        assert again() == ["tcp", "udp"] * 3
        apply(lab.host, text % f", from: {other}")
        assert again() == ["tcp", "udp"] * 3, "narrowed, and the client is in it"
        apply(lab.host, text % ', from: "2001:db8:7::/64"')
        assert again() == ["tcp", "udp", "lost", "lost", "tcp", "udp"]
        apply(lab.host, text.replace(f"      - {anybody}\n", "") % ', from: "2001:db8:7::/64"')
        assert again() == ["lost", "lost", "lost", "lost", "tcp", "udp"]
    finally:
        client.kill()
        world.guests["own"].send_signal(server, signal.SIGKILL)
        apply(lab.host, FILE)


def test_connections_and_bytes_are_counted(world: World) -> None:
    key = ["203.0.113.2", "tcp", 25000]
    before = counted(world, "on4", key)
    for _ in range(3):
        assert world.lab.inet.probe("tcp", "203.0.113.2", 25000).answered
    assert counted(world, "on4", key) - before == 3
    flows = json.loads(world.lab.host.run(["nft", "-j", "list", "set", "inet", "guestnet", "flows4"]).stdout)
    items = [item["elem"] for entry in flows["nftables"] if "set" in entry for item in entry["set"]["elem"]]
    found = {tuple(item["val"]["concat"]): item["counter"]["bytes"] for item in items}
    assert found["203.0.113.2", "tcp", 25000] > 3 * 60, "the answers of three connections; not what has no data"


def counted(world: World, name: str, key: list[object]) -> int:
    data = json.loads(world.lab.host.run(["nft", "-j", "list", "map", "inet", "guestnet", name]).stdout)
    items = [item[0]["elem"] for entry in data["nftables"] if "map" in entry for item in entry["map"]["elem"]]
    return next(int(item["counter"]["packets"]) for item in items if item["val"]["concat"] == key)


def test_a_network_that_is_started_anew_has_loopback_again(world: World) -> None:
    host = world.lab.host
    host.virsh("net-destroy", "lab")
    host.virsh("net-start", "lab")
    assert host.sysctl("ipv4/conf/vlab/route_localnet") == "1", "the hook has seen to it"
    assert "libvirt's record of vnet" in apply(host), "which its guests' NICs have lost, and nothing else"
    assert "Nothing to do" in apply(host)


def test_all_of_it_goes_again(world: World) -> None:
    host = world.lab.host
    said = apply(host, FILE.replace(", loopback: true", ""))
    assert "route_localnet = 0" in said
    assert host.sysctl("ipv4/conf/vlab/route_localnet") == "0"
    assert host.probe("tcp", "127.0.0.1", 8080).kind == "refused"
    assert not host.exists("/var/lib/guestnet/compiled/localnets")
    host.guestnet("destroy", "--yes")
    assert "guestnet" not in host.run(["nft", "list", "tables"]).stdout
