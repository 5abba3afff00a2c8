"""Networks on the LAN: a bridge over a spare NIC, one that exists, macvtap. Real guests; the LAN's own DHCP server and
router advertisements give them their addresses. The LAN is the fake internet's."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import NamedTuple

import pytest

from lab import Lab
from lab.guest import RealGuest
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  spare: {mode: bridge, bridge: br1, interface: eth1}
  shared: {mode: bridge, bridge: br0}
  tap: {mode: macvtap, interface: eth2}
guests:
  b: {network: spare}
  m: {network: tap}
"""
LAN4, LAN6 = ip_network("203.0.113.0/24"), ip_network("2001:db8:1::/64")


class World(NamedTuple):
    lab: Lab
    bridged: RealGuest
    tapped: RealGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        nics(lab)
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        guests = [
            lab.host.define_guest("b", "spare", "52:54:00:00:1a:01"),
            lab.host.define_guest("m", "tap", "52:54:00:00:1a:02"),
        ]
        for guest in guests:
            guest.start()
        yield World(lab, *guests)


def nics(lab: Lab) -> None:
    """Two NICs on the LAN, and a bridge that somebody made over a third."""
    for number in (1, 2, 3):
        lab.inet.plug(lab.host, f"eth{number}", f"p{number}")
    lab.host.shell(
        "echo 0 > /proc/sys/net/ipv6/conf/eth2/accept_ra; ip link set eth2 up\n"
        "ip link add br0 type bridge; ip link set eth3 master br0 up; ip link set br0 up\n"
        "ip addr add 203.0.113.50/24 dev br0"
    )


def test_guests_have_the_lans_addresses_and_are_reached_there(world: World) -> None:
    for guest in (world.bridged, world.tapped):
        ipv4, ipv6 = guest.wait_addresses()
        assert ipv4 in LAN4
        assert ipv6 in LAN6
        for protocol in ("tcp", "udp"):
            assert guest.probe(protocol, "203.0.113.1", 7).text == f"inet {protocol} 7 from {ipv4}"
            assert guest.probe(protocol, "2001:db8:1::1", 7).text == f"inet {protocol} 7 from {ipv6}"
            for address, client in ((ipv4, "203.0.113.9"), (ipv6, "2001:db8:1::9")):
                assert address is not None
                assert world.lab.inet.probe(protocol, address, 80, source=client).text.endswith(f"from {client}")


def test_the_host_is_not_on_that_lan(world: World) -> None:
    """It has neither an address nor a route by way of the bridge, though a router advertises there."""
    assert "inet" not in world.lab.host.run(["ip", "addr", "show", "dev", "br1"]).stdout
    assert "inet" not in world.lab.host.run(["ip", "addr", "show", "dev", "eth1"]).stdout
    assert "br1" not in world.lab.host.run(["ip", "-6", "route"]).stdout


def test_said_of_macvtap(world: World) -> None:
    plan = " ".join(world.lab.host.guestnet("plan").stdout.split())
    assert "Nothing to do" in plan
    assert "network tap: guests and host talk only over the LAN, where another NIC of the host is on it" in plan
    assert "second NIC" in plan
    reach = world.lab.host.guestnet("reach").stdout
    assert "tap -> host  v4 lan: the host has no IPv4 address on eth2: if another NIC of it is on that LAN" in reach
    assert "spare -> internet  v4 v6 lan: as the LAN over br1" in reach


def test_libvirtd_restarted_and_network_restarted_by_hand(world: World) -> None:
    ipv4, _ = world.bridged.wait_addresses()
    assert ipv4 is not None
    world.lab.host.libvirtd.restart()
    world.lab.host.virsh("net-destroy", "spare")
    world.lab.host.virsh("net-start", "spare")
    assert world.lab.inet.probe("tcp", ipv4, 80).peer == "b"


def test_a_bridge_that_lost_its_nic_is_mended(world: World) -> None:
    ipv4, _ = world.bridged.wait_addresses()
    assert ipv4 is not None
    world.lab.host.run(["ip", "link", "set", "eth1", "nomaster"])
    assert "bridge br1 over eth1" in world.lab.host.guestnet("plan").stdout
    apply(world.lab.host)
    assert world.lab.inet.probe("tcp", ipv4, 80).peer == "b"


def test_br_netfilter_that_would_drop_it_is_named(world: World) -> None:
    """With a policy of DROP, as docker sets it, the guests on the bridge would be alone."""
    host = world.lab.host
    key = host.path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not key.exists():
        pytest.skip("this kernel has no br_netfilter")
    host.shell("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; iptables -P FORWARD DROP")
    try:
        ipv4, _ = world.bridged.wait_addresses()
        assert ipv4 is not None
        assert not world.lab.inet.probe("tcp", ipv4, 80, timeout=0.5).answered
        said = " ".join(host.guestnet("plan").stdout.split())
        assert "network spare: br_netfilter is on and iptables' FORWARD drops by default" in said
        host.run(["iptables", "-I", "FORWARD", "-i", "br1", "-o", "br1", "-j", "ACCEPT"])
        assert world.lab.inet.probe("tcp", ipv4, 80).answered, "what the note says helps"
    finally:
        host.shell(
            "echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables; iptables -P FORWARD ACCEPT\n"
            "iptables -D FORWARD -i br1 -o br1 -j ACCEPT || true"
        )


CONFLICTS = {
    "x: {mode: bridge, interface: eth9}": "there is no NIC eth9",
    "x: {mode: macvtap, interface: eth9}": "there is no NIC eth9",
    "x: {mode: bridge, bridge: br7}": "there is no bridge br7",
    "x: {mode: bridge, bridge: eth4}": "eth4 is no bridge",
    "x: {mode: bridge, bridge: docker0}": "docker0 is docker's bridge",
    "x: {mode: bridge, bridge: br2, interface: eth3}": "eth3 is in br0 already",
    "x: {mode: macvtap, interface: eth3}": "eth3 is in br0 already",
    "x: {mode: bridge, bridge: br2, interface: up0}": "up0 has the host's own 203.0.113.2, 2001:db8:1::2",
    "x: {mode: bridge, bridge: br2, interface: br0}": "br0 is a bridge itself",
    "x: {mode: bridge, bridge: docker0, interface: eth4}": "docker0 exists already, and guestnet did not make it",
    "x: {mode: bridge, bridge: virbr77}": "virbr77 is the bridge of libvirt's network other",
}


def test_what_is_missing_or_somebody_elses_is_one_clear_problem(world: World) -> None:
    host = world.lab.host
    host.define_network(
        "<network><name>other</name><bridge name='virbr77'/><ip address='10.77.0.1' netmask='255.255.255.0'/></network>"
    )
    world.lab.inet.plug(host, "eth4", "p4")
    host.run(["ip", "link", "add", "docker0", "type", "bridge"])
    before = host.shell("ip -o link | cut -d' ' -f2; virsh -q net-list --all --name").stdout
    for line, problem in CONFLICTS.items():
        host.write("/run/x.yaml", FILE.replace("networks:", f"networks:\n  {line}"))
        done = host.guestnet("-f", "/run/x.yaml", "apply", "--yes", check=False)
        assert done.returncode == 1, line
        assert f"network x of mode {line.split()[2].strip('{},')}" in done.stderr, line
        assert problem in done.stderr, line
        assert "1 problem, nothing was touched" in done.stderr, done.stderr
        assert host.shell("ip -o link | cut -d' ' -f2; virsh -q net-list --all --name").stdout == before
    host.shell("virsh -q net-destroy other; virsh -q net-undefine other; ip link del docker0")


def test_a_reboot_then_everything_removed(world: World) -> None:
    host = world.lab.host
    world.bridged.autostart()
    host.reboot(libvirtd=False)
    nics(world.lab)
    host.libvirtd.start()
    host.wants_libvirtd = True
    ipv4, ipv6 = world.bridged.wait_addresses()
    assert ipv4 in LAN4
    assert ipv6 in LAN6
    assert "inet" not in host.run(["ip", "addr", "show", "dev", "br1"]).stdout
    assert "Nothing to do" in apply(host)
    world.bridged.destroy()
    out = apply(host, "networks: {}\n")
    assert "bridge br1 over eth1 removed" in out
    left = host.shell("ip -o link | cut -d' ' -f2").stdout
    assert "br1:" not in left
    assert "br0:" in left, "somebody else's stays"
    assert host.virsh("-q", "net-list", "--all", "--name").stdout.split() == []
