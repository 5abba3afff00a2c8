"""libvirt's nftables backend beside docker (imitated) or ufw (Debian's): iptables' FORWARD drops, and libvirt, which
has rules only in its own table, admits no guest there. Rules of ours do; and nothing opens that the file shuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab, foreign
from lab.fake import FakeGuest, Static
from lab.host import Host
from lab.inet import ROUTER4
from tests.firewalls.conftest import ALL, TEXT, World, world
from tests.firewalls.test_iptables import AGAIN, NEW, dockerd, without_docker
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab

PROGRAMS = ("iptables", "ip6tables")
NO_WAY_OUT = "in all, out none, dns all"
NETWORKS = """networks:
  cell: {mode: isolated, stp: false, bridge: vcell, ipv4: 10.66.1.1/24, ipv6: none}
  apart: {mode: nat, stp: false, bridge: vapart, ipv4: 10.66.2.1/24, ipv6: none, guest_isolation: true}
  denied: {mode: nat, stp: false, bridge: vdenied, ipv4: 10.66.3.1/24, ipv6: none, egress: {deny: [203.0.113.0/24]}}
  open: {mode: routed, inbound: open, stp: false, bridge: vopen, ipv4: 10.66.4.1/24, ipv6: none}
"""


@pytest.fixture(scope="module")
def beside() -> Iterator[World]:
    with Lab(libvirtd=False) as lab:
        foreign.debian13(lab.host, foreign.ufw())
        foreign.set_up_ufw(lab.host)
        lab.host.libvirtd.start()
        yield world(lab)


def ours(host: Host) -> list[int]:
    """How many rules of ours each program's FORWARD has, with the one that admits forwards."""
    found = [host.run([program, "-S", "FORWARD"]).stdout for program in PROGRAMS]
    return [text.count("--comment guestnet") + text.count("--mark 0x2000/0x2000") for text in found]


@pytest.mark.parametrize("how", ["hook", "unit", "apply"])
def test_docker_after_us(beside: World, how: str) -> None:
    """Its start shuts guests in; its restart finds our rules there."""
    host = beside.host
    beside.wait_seen(ALL)
    assert ours(host) == [1, 1], "nobody needs more"
    dockerd(beside, NEW)
    assert beside.seen() == NO_WAY_OUT
    said = "it drops by policy, and libvirt's nftables backend lets no guest out there"
    for program in PROGRAMS:
        assert f"~ admit rules in {program} FORWARD, on top again; {said}" in beside.notes()
    doctor = host.guestnet("doctor", check=False).stdout
    assert "wrong  guests' way out: FORWARD drops by default in iptables, ip6tables" in doctor
    beside.mend(how)
    beside.wait_seen(ALL)
    assert beside.drift() == ""
    assert ours(host) == [3, 3]
    doctor = host.guestnet("doctor", check=False).stdout
    assert "fine   guests' way out: FORWARD drops by default in iptables, ip6tables" in doctor
    dockerd(beside, AGAIN)
    if how == "hook":
        host.libvirtd.restart()
    beside.wait_seen(ALL)
    without_docker(beside)
    beside.wait_seen(ALL)
    assert "guests' way out needs no more of them" in beside.notes()
    beside.apply()
    assert ours(host) == [1, 1]
    beside.wait_seen(ALL)


def test_rules_of_ours_are_lost(beside: World) -> None:
    """All at once, or only one in the middle."""
    dockerd(beside, NEW)
    beside.hook()
    beside.wait_seen(ALL)
    beside.host.run(["iptables", "-D", "FORWARD", "3"])
    assert beside.drift().startswith("host: ~ admit rules in iptables FORWARD")
    beside.hook()
    assert (beside.drift(), ours(beside.host)) == ("", [3, 3])
    beside.host.shell("iptables -F FORWARD; ip6tables -F FORWARD")
    assert beside.seen() == "in none, out none, dns all"
    beside.restore()
    beside.wait_seen(ALL)
    assert beside.drift() == ""
    without_docker(beside)
    beside.apply()


def ufw(world: World, *words: str) -> str:
    return world.host.run(["python3.11", "/usr/sbin/ufw", *words]).stdout


def enable_ufw(world: World) -> None:
    """With guests' DHCP and DNS allowed, as doctor says."""
    assert "enabled" in ufw(world, "--force", "enable")
    for port in ("53", "67 proto udp", "547 proto udp"):
        ufw(world, "allow", "in", "on", "virbr84", "to", "any", "port", *port.split())


def test_ufw_after_us(beside: World) -> None:
    enable_ufw(beside)
    assert beside.seen() == NO_WAY_OUT
    beside.hook()
    beside.wait_seen(ALL)
    assert beside.drift() == ""
    ufw(beside, "reload")
    beside.wait_seen(ALL)
    assert "fine   guests' way out: " in beside.host.guestnet("doctor", check=False).stdout
    ufw(beside, "disable")
    beside.apply()
    assert ours(beside.host) == [1, 1]
    beside.wait_seen(ALL)


def test_destroy_takes_them(beside: World) -> None:
    dockerd(beside, NEW)
    beside.hook()
    assert ours(beside.host) == [3, 3]
    beside.host.guestnet("destroy", "--yes")
    assert ours(beside.host) == [0, 0]
    without_docker(beside)


def test_ufw_before_us(beside: World) -> None:
    """After that destroy: the host has nothing of ours when ufw starts."""
    enable_ufw(beside)
    assert ours(beside.host) == [0, 0]
    beside.host.guestnet("apply", "--yes")
    beside.host.run(["ip", "link", "set", beside.guest.port, "master", "virbr84"])
    beside.hook("started")
    beside.wait_seen(ALL)
    assert (beside.drift(), ours(beside.host)) == ("", [3, 3])
    ufw(beside, "reload")
    beside.wait_seen(ALL)


class Guests(NamedTuple):
    """Two in a network, but for the last two."""

    cell: FakeGuest
    cell2: FakeGuest
    apart: FakeGuest
    apart2: FakeGuest
    denied: FakeGuest
    open: FakeGuest


def plug(world: World) -> Guests:
    places = {"cell": "10.66.1", "apart": "10.66.2", "denied": "10.66.3", "open": "10.66.4"}
    found = {}
    for name in Guests._fields:
        net = name.removesuffix("2")
        address = f"{places[net]}.{20 if name.endswith('2') else 10}/24"
        static = Static(ipv4=address, router4=f"{places[net]}.1")
        found[name] = world.host.fake_guest(name, f"v{net}", mac=None, plug=static, ports=(80,))
    return Guests(**found)


@pytest.fixture(scope="module")
def after_docker() -> Iterator[World]:
    with Lab(libvirtd=False) as lab:
        foreign.debian13(lab.host)
        lab.host.libvirtd.start()
        dockerd(lab, NEW)
        made = world(lab)
        made.wait_seen(ALL)
        assert made.drift() == ""
        lab.host.write(FILE, TEXT.replace("networks:\n", NETWORKS))
        made.apply()
        yield made


@pytest.mark.parametrize("filtered", [0, 1])
def test_docker_first_and_nothing_opens_that_the_file_shuts(after_docker: World, filtered: int) -> None:
    """With br_netfilter, packets within a bridge are judged, too."""
    beside, host, inet = after_docker, after_docker.host, after_docker.lab.inet
    assert ours(host) == [1 + 2 + 1 + 3 * 2, 1 + 2], "none in a family that a network has not, one for the isolated"
    host.shell(f"for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo {filtered} > $f; done")
    inet.shell("ip route replace 10.66.0.0/16 via 203.0.113.2; ip route replace 192.168.84.0/24 via 203.0.113.2")
    guests = plug(beside)

    def asked(client: FakeGuest | None, address: str, port: int = 80) -> bool:
        return (client or inet).probe("tcp", address, port, timeout=0.7).answered

    passes = {
        "cell to its neighbour": asked(guests.cell, "10.66.1.20"),
        "apart out": asked(guests.apart, ROUTER4, 7),
        "open out": asked(guests.open, ROUTER4, 7),
        "from outside to open": asked(None, "10.66.4.10"),
        "lab to open": asked(beside.guest, "10.66.4.10"),
    }
    stopped = {
        "cell out": asked(guests.cell, ROUTER4, 7),
        "cell to lab": asked(guests.cell, "192.168.84.10"),
        "cell to open": asked(guests.cell, "10.66.4.10"),
        "lab to cell": asked(beside.guest, "10.66.1.10"),
        # Without br_netfilter that is the bridge's, by libvirt's ports, which fake guests do not have.
        "apart to its neighbour": bool(filtered) and asked(guests.apart, "10.66.2.20"),
        "denied out": asked(guests.denied, ROUTER4, 7),
        "from outside to lab": asked(None, "192.168.84.10"),
        "from outside to cell": asked(None, "10.66.1.10"),
        "open to lab": asked(guests.open, "192.168.84.10"),
    }
    for guest in guests:
        guest.stop()
    assert [name for name, answered in passes.items() if not answered] == []
    assert [name for name, answered in stopped.items() if answered] == []
    beside.wait_seen(ALL)
