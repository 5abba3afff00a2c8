"""What a forward must never capture, and the hooks' own behaviour; with fake guests, which are fast.

The domain web1 here is a real one, because hooks follow real domains; a fake guest with its MAC answers in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.process import wait_for
from tests.live.conftest import MAC, apply, elements

pytestmark = pytest.mark.lab

# Asks a DNS server (argument 1; argument 2: over TCP) for the IPv4 address of v4.example; prints the answer in hex.
ASK = """
import socket, struct, sys
name = b"".join(bytes([len(part)]) + part for part in b"v4.example".split(b"."))
query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + name + struct.pack(">BHH", 0, 1, 1)
address = (sys.argv[1], 53)
if sys.argv[2:]:
    link = socket.create_connection(address, 3)
    link.sendall(struct.pack(">H", len(query)) + query)
    print(link.recv(512)[2:].hex())
else:
    link = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    link.settimeout(3)
    link.connect(address)
    link.send(query)
    print(link.recv(512).hex())
"""

GREEDY = """
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84:0:1::1/64"}
  plain: {mode: nat, bridge: virbr85, stp: false, ipv4: 192.168.85.1/24, ipv6: "fd00:85:0:1::1/64", nat: {ipv6: false}}
guests:
  web1:
    network: lab
    mac: 52:54:00:12:34:56
    ipv4: 192.168.84.10
    ipv6: ::10
    forwards: [53:80/tcp+udp, 67:80/udp, 547:80/udp, 5000:80/tcp+udp]
  late:
    network: lab
    ipv4: 192.168.84.20
    ipv6: ::20
    forwards: ["5020:80"]
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """web1 runs and wants ports 53, 67 and 547 too."""
    with Lab() as lab:
        apply(lab.host, GREEDY)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", "52:54:00:99:99:99").start()
        wait_for("the forwards", lambda: "5000" in elements(lab.host))
        yield lab


@pytest.fixture(scope="module")
def fake(lab: Lab) -> FakeGuest:
    """Answers at web1's reserved addresses: it has the MAC of the file."""
    fake = lab.host.fake_guest("web1", "virbr84", mac=MAC)
    assert [str(address) for address in fake.wait_addresses()] == ["192.168.84.10", "fd00:84:0:1::10"]
    return fake


def test_the_forward_works(lab: Lab, fake: FakeGuest) -> None:
    assert lab.inet.probe("tcp", "203.0.113.2", 5000).text.startswith("web1 tcp 80")
    assert lab.inet.probe("udp", "2001:db8:1::2", 53).text.startswith("web1 udp 80")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_the_hosts_own_local_services_are_not_captured(lab: Lab, fake: FakeGuest, address: str) -> None:
    service = lab.host.echo(5000, name="own")
    try:
        assert lab.host.probe("tcp", address, 5000).text.startswith("own tcp 5000")
        assert lab.host.probe("udp", address, 5000).text.startswith("own udp 5000")
        # The same from outside is the forward's: so the service above was there to be captured.
        assert lab.inet.probe("tcp", "203.0.113.2", 5000).text.startswith("web1")
    finally:
        lab.host.kill(service)


@pytest.fixture(scope="module")
def other(lab: Lab, fake: FakeGuest) -> FakeGuest:
    """Another guest of the network. That it gets addresses shows that DHCP, ports 67 and 547, is not captured."""
    other = lab.host.fake_guest("other", "virbr84")
    assert None not in other.wait_addresses()
    return other


@pytest.mark.parametrize("server", ["192.168.84.1", "fd00:84:0:1::1"])
def test_guests_dns_is_not_captured(other: FakeGuest, server: str) -> None:
    """The host's dnsmasq answers the guest on port 53 of the bridge, though a forward listens on port 53 of any."""
    answer = bytes.fromhex(other.run(["/usr/bin/python3", "-c", ASK, server]).stdout)
    assert answer.endswith(IPv4Address("203.0.113.1").packed)
    tcp = other.run(["/usr/bin/python3", "-c", ASK, server, "tcp"]).stdout
    assert bytes.fromhex(tcp).endswith(IPv4Address("203.0.113.1").packed)


@pytest.mark.parametrize("address", ["203.0.113.2", "2001:db8:1::2"])
def test_hairpin_and_the_hosts_own_address(lab: Lab, other: FakeGuest, address: str) -> None:
    assert other.probe("tcp", address, 5000).text.startswith("web1 tcp 80")
    assert lab.host.probe("tcp", address, 5000).text.startswith("web1 tcp 80")


def test_transit_traffic_is_not_captured(lab: Lab, other: FakeGuest) -> None:
    """A packet that only passes through the host, to a port that is forwarded here, goes where it was sent."""
    lab.inet.echo(5000, name="far")
    assert other.probe("tcp", "203.0.113.1", 5000).text.startswith("far tcp 5000")
    assert other.probe("udp", "2001:db8:1::1", 5000).text.startswith("far udp 5000")


def test_a_nat_network_is_closed_without_nat66_too(lab: Lab) -> None:
    """libvirt alone leaves IPv6 open there: to it, that is a routed network (shown by the last probe)."""
    own = Static("192.168.85.9/24", "fd00:85:0:1::9/64", "192.168.85.1", "fd00:85:0:1::1")
    guest = lab.host.fake_guest("plain", "virbr85", plug=own)
    guest.wait_addresses()
    lab.inet.run(["ip", "-6", "route", "add", "fd00:85:0:1::/64", "via", "2001:db8:1::2"])
    assert guest.probe("tcp", "2001:db8:1::1", 7).kind == "answered", "the way out, and back"
    assert lab.host.probe("tcp", "fd00:85:0:1::9", 80).kind == "answered"
    assert lab.inet.probe("tcp", "fd00:85:0:1::9", 80).kind == "refused"
    lab.host.run(["nft", "flush", "chain", "inet", "guestnet", "forward"])
    assert lab.inet.probe("tcp", "fd00:85:0:1::9", 80).kind == "answered"
    apply(lab.host)


def test_a_guest_defined_after_the_apply_gets_its_reservation_at_prepare(lab: Lab) -> None:
    """The file has no MAC for `late`, and libvirt did not know it: the hook takes it from the XML."""
    folder = "/var/lib/libvirt/dnsmasq/guestnet-lab"
    assert not lab.host.exists(f"{folder}/late")
    guest = lab.host.define_guest("late", "lab", "52:54:00:aa:bb:cc")
    guest.start()
    assert lab.host.read(f"{folder}/late") == "52:54:00:aa:bb:cc,192.168.84.20,[fd00:84:0:1::20],late\n"
    assert [str(address) for address in guest.wait_addresses()] == ["192.168.84.20", "fd00:84:0:1::20"]
    assert lab.inet.probe("tcp", "203.0.113.2", 5020, source="203.0.113.9").text == "late tcp 80 from 203.0.113.9"
    assert lab.inet.probe("tcp", "2001:db8:1::2", 5020).text.startswith("late tcp 80")
    assert "Nothing to do" in apply(lab.host)
    guest.destroy()
    # Defined anew, with another MAC: the reservation follows.
    guest.undefine()
    again = lab.host.define_guest("late", "lab", "52:54:00:aa:bb:dd")
    again.start()
    assert lab.host.read(f"{folder}/late") == "52:54:00:aa:bb:dd,192.168.84.20,[fd00:84:0:1::20],late\n"
    assert "Nothing to do" in apply(lab.host)
    again.destroy()


def test_the_plan_names_a_guest_whose_mac_differs(lab: Lab) -> None:
    assert "guest web1 has the MAC 52:54:00:99:99:99 on network lab" in lab.host.guestnet("plan").stdout


def test_a_broken_hook_lets_guests_start(lab: Lab) -> None:
    data = "/var/lib/guestnet/compiled/guests/web1"
    whole = lab.host.read(data)
    guest = "web1"
    for broken in ("guestnet 99\n", whole[: len(whole) // 2], ""):
        lab.host.virsh("destroy", guest)
        lab.host.write(data, broken)
        lab.host.virsh("start", guest)
        assert "another version, or cut short" in lab.host.read("/var/log/guestnet/hook.log")
        lab.host.run(["rm", "/var/log/guestnet/hook.log"])
    lab.host.virsh("destroy", guest)
    assert "hook" in lab.host.guestnet("apply", "--yes").stderr
    lab.host.virsh("start", guest)
    assert "5000" in elements(lab.host)
