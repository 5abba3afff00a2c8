"""What single rules keep away from forwards, each by packets that would come through without it: addresses of a link,
what others translate, packets with loopback addresses, others' tracked connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.host import Host
from lab.namespace import Namespace
from lab.process import wait_for
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}
guests:
  web:
    network: lab
    ipv4: 10.9.1.10
    ipv6: "::10"
    forwards: [5000/tcp+udp, {ports: 5006, loopback: true, family: ipv4}]
"""
HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
PYTHON = ["/usr/bin/python3", "-c"]
SAY = """
import socket, sys
kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[sys.argv[1]]
_, _, _, _, where = socket.getaddrinfo(sys.argv[2], int(sys.argv[3]), type=kind)[0]
with socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, kind) as link:
    link.settimeout(3)
    if sys.argv[4:]:
        link.bind(("", int(sys.argv[4])))
    link.connect(where)
    link.sendall(b"hello\\n")
    print(link.recv(200).decode())
"""
# Says whom it hears, until it hears from the last one.
HEAR = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
source = ""
while source != sys.argv[3]:
    source = link.recvfrom(200)[1][0]
    print(source, flush=True)
"""
# A datagram from any address; the kernel fills in length and checksum.
FORGE = """
import socket, struct, sys
source, to = (socket.inet_aton(one) for one in sys.argv[1:3])
text = struct.pack(">HHHH", 5555, int(sys.argv[3]), 8 + 5, 0) + b"hello"
head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, 17, 0, source, to)
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(head + text, (sys.argv[2], 0))
"""
OTHERS = """
table inet others {
	chain pre {
		type nat hook prerouting priority -90;
		meta nfproto ipv4 tcp dport 9999 counter dnat ip to 10.9.1.10:80
		meta nfproto ipv6 tcp dport 9999 counter dnat ip6 to [fd00:9:0:1::10]:80
	}
}
"""


class World(NamedTuple):
    """`far` is behind a bridge of the host that is not guestnet's; the internet reaches it through the host."""

    lab: Lab
    web: FakeGuest
    far: FakeGuest

    @property
    def host(self) -> Host:
        return self.lab.host

    def hook(self, operation: str) -> None:
        self.host.run([HOOK, "web", operation, "begin", "-"], input="")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        host = lab.host
        host.shell("ip link add vfar type bridge; ip link set vfar up; ip addr add 198.51.100.1/24 dev vfar")
        lab.inet.shell("ip route add 198.51.100.0/24 via 203.0.113.2")
        apply(host, FILE)
        host.write("/run/libvirt/qemu/web.xml", "<domstatus/>")
        plug = Static("10.9.1.10/24", "fd00:9:0:1::10/64", "10.9.1.1", "fd00:9:0:1::1")
        web = host.fake_guest("web", "vlab", plug=plug, ports=(80, 5000))
        far = host.fake_guest("far", "vfar", plug=Static("198.51.100.7/24", router4="198.51.100.1"), ports=(5000,))
        found = World(lab, web, far)
        found.hook("started")
        for address in ("203.0.113.2", "2001:db8:1::2"):
            assert lab.inet.probe("tcp", address, 5000).peer == "web"
        yield found


def said(asking: Namespace, *words: str) -> str:
    return asking.run([*PYTHON, SAY, *words]).stdout.strip()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_link_local_address_is_the_hosts_own(world: World, protocol: str) -> None:
    """From the link, and from the host itself: the one passes prerouting, the other output."""
    shown = world.host.run(["ip", "-6", "-o", "addr", "show", "dev", "up0", "scope", "link"]).stdout
    address = shown.split(" inet6 ")[1].split("/")[0]
    nic = json.loads(world.lab.inet.run(["ip", "-j", "route", "get", "203.0.113.2"]).stdout)[0]["dev"]
    service = world.host.echo(5000, name="own")
    try:
        assert said(world.lab.inet, protocol, f"{address}%{nic}", "5000").startswith(f"own {protocol} 5000")
        assert said(world.host, protocol, f"{address}%up0", "5000").startswith(f"own {protocol} 5000")
        # The service is there to be captured, and at other addresses it is.
        assert said(world.lab.inet, protocol, "2001:db8:1::2", "5000").startswith(f"web {protocol} 5000")
        assert said(world.host, protocol, "2001:db8:1::2", "5000").startswith(f"web {protocol} 5000")
    finally:
        world.host.kill(service)


@pytest.mark.parametrize("address", ["203.0.113.2", "2001:db8:1::2"])
def test_what_others_translate_is_not_admitted_as_ours(world: World, address: str) -> None:
    """Their chain comes after ours, which has asked its maps for the connection and found nothing."""
    world.host.run(["nft", "-f", "-"], input=OTHERS)
    try:
        assert not world.lab.inet.probe("tcp", address, 9999, timeout=1).answered
        counted = world.host.run(["nft", "list", "chain", "inet", "others", "pre"]).stdout
        family = "ipv6" if ":" in address else "ipv4"
        (line,) = (line for line in counted.splitlines() if family in line)
        assert "packets 0 " not in line, "it was translated"
    finally:
        world.host.run(["nft", "delete", "table", "inet", "others"])


def test_a_packet_from_a_loopback_address_is_no_program_of_the_host(world: World) -> None:
    """route_localnet is on for the forward of 127.0.0.1; with accept_local, which some hosts have on, the kernel itself
    lets such sources in."""
    host = world.host
    assert host.sysctl("ipv4/conf/vlab/route_localnet") == "1"
    for key, value in (("vlab/accept_local", 1), ("vlab/rp_filter", 0), ("all/rp_filter", 0)):
        host.sysctl(f"ipv4/conf/{key}", value)
    ear = host.popen([*PYTHON, HEAR, "10.9.1.1", "6000", "10.9.1.10"])
    try:
        assert ear.stdout is not None
        assert ear.stdout.readline() == "ready\n"
        for source in ("127.0.0.5", "10.9.1.10"):
            world.web.run([*PYTHON, FORGE, source, "10.9.1.1", "6000"])
        assert ear.stdout.readline() == "10.9.1.10\n"
    finally:
        ear.kill()


def test_what_passes_through_stays_tracked_when_a_guest_starts(world: World) -> None:
    """Only those who asked the host itself are let in to the guest; what is for others is not ours to forget."""
    host, inet = world.host, world.lab.inet
    world.hook("stopped")
    tracked = ["conntrack", "-L", "-f", "ipv4", "-p", "udp", "--orig-port-dst", "5000", "-o", "id", "-d"]

    def entry(address: str) -> str:
        return host.run([*tracked, address], check=False).stdout.partition("id=")[2].strip()

    assert said(inet, "udp", "198.51.100.7", "5000", "5556").startswith("far udp 5000")
    assert inet.probe("udp", "203.0.113.2", 5000, timeout=1).kind != "answered"
    through = entry("198.51.100.7")
    assert through
    assert entry("203.0.113.2"), "else this shows nothing"
    world.hook("started")
    wait_for("the one to the host to go", lambda: not entry("203.0.113.2"))
    assert entry("198.51.100.7") == through
