"""Passthrough of a whole NIC by macvtap, with a real guest: the LAN sees the guest and nobody else. Virtual functions
need a machine that has some: tests/nested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import NamedTuple

import pytest

from lab import Lab
from lab.guest import RealGuest
from lab.namespace import Namespace
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  whole: {mode: passthrough, interfaces: [eth1]}
guests:
  p: {network: whole}
"""
MAC = "52:54:00:00:1c:01"
ROUTER = ("203.0.113.1", "2001:db8:1::1")
UPLINK = ("203.0.113.2", "2001:db8:1::2")
SECOND = ("203.0.113.60", "2001:db8:1::60")


class World(NamedTuple):
    lab: Lab
    guest: RealGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        for number in (1, 2):
            lab.inet.plug(lab.host, f"eth{number}", f"p{number}")
        lab.host.shell("echo 0 > /proc/sys/net/ipv6/conf/eth1/accept_ra")
        said = " ".join(apply(lab.host, FILE).split())
        assert "network whole (passthrough, eth1)" in said
        assert "each guest one whole NIC of eth1 (macvtap); addresses from the LAN" in said
        assert "eth1 is down, and libvirt does not bring it up: ip link set eth1 up" in said
        lab.host.run(["ip", "link", "set", "eth1", "up"])
        guest = lab.host.define_guest("p", "whole", MAC)
        guest.start()
        yield World(lab, guest)


def test_the_guest_is_the_nic(world: World) -> None:
    ipv4, ipv6 = world.guest.wait_addresses()
    assert ipv4 in ip_network("203.0.113.0/24")
    assert ipv6 in ip_network("2001:db8:1::/64")
    assert MAC in world.lab.host.run(["ip", "link", "show", "eth1"]).stdout, "passthrough gives the NIC the guest's MAC"
    for protocol in ("tcp", "udp"):
        assert world.guest.probe(protocol, "203.0.113.1", 7).text == f"inet {protocol} 7 from {ipv4}"
        assert world.guest.probe(protocol, "2001:db8:1::1", 7).text == f"inet {protocol} 7 from {ipv6}"
        for address, client in ((ipv4, "203.0.113.9"), (ipv6, "2001:db8:1::9")):
            assert world.lab.inet.probe(protocol, str(address), 80, source=client).text.endswith(f"from {client}")


def test_its_row_of_the_matrix_is_what_the_guest_finds(world: World) -> None:
    """`lan` in each cell: this LAN gives addresses and a router in both families, lets everybody in, and the host is on
    it. The second machine is there as the device of a second guest would be."""
    found = json.loads(world.lab.host.guestnet("--format", "json", "reach").stdout)["cells"]
    row = {(one["from"]["name"] or one["from"]["kind"], one["to"]["name"] or one["to"]["kind"], one["family"]): one
           for one in found}  # fmt: skip
    assert {one["predicted"] for one in found} == {"lan"}
    own = [str(address) for address in world.guest.wait_addresses()]
    measured: dict[tuple[str, str, str], set[bool]] = {}
    with second_machine(world.lab) as beside:
        echo = world.lab.host.echo(7, name="host")
        for i, family in enumerate(("ipv4", "ipv6")):
            for protocol in ("tcp", "udp"):
                for source, target, asker, address, port in (
                    ("whole", "internet", world.guest, ROUTER[i], 7),
                    ("whole", "host", world.guest, UPLINK[i], 7),
                    ("whole", "whole", world.guest, SECOND[i], 80),
                    ("whole", "whole", beside, own[i], 80),
                    ("internet", "whole", world.lab.inet, own[i], 80),
                    ("host", "whole", world.lab.host, own[i], 80),
                ):
                    told = asker.probe(protocol, address, port)
                    measured.setdefault((source, target, family), set()).add(told.answered)
        world.lab.host.kill(echo)
    assert measured == {way: {True} for way in row}, "each cell, and no other"


@contextmanager
def second_machine(lab: Lab) -> Iterator[Namespace]:
    made = Namespace("beside")
    made.start()
    try:
        lab.inet.plug(made, "eth0", "p9")
        made.shell(
            f"ip link set eth0 up; ip addr add {SECOND[0]}/24 dev eth0; ip addr add {SECOND[1]}/64 dev eth0 nodad"
        )
        made.echo(80)
        yield made
    finally:
        made.stop()


def test_the_plan_is_empty_while_it_runs_and_says_that_one_nic_is_one_guest(world: World) -> None:
    assert "Nothing to do" in world.lab.host.guestnet("plan").stdout
    world.lab.host.write("/run/two.yaml", FILE + "  q: {network: whole}\n")
    said = " ".join(world.lab.host.guestnet("-f", "/run/two.yaml", "plan").stdout.split())
    assert "network whole has 1 device for 2 guests of the file: so many run at a time" in said
    assert "whole" in world.lab.host.guestnet("status").stdout


PROBLEMS = {
    "x: {mode: passthrough, interfaces: [eth9]}": "there is no NIC eth9",
    "x: {mode: passthrough, interfaces: [eth2, up0]}": "up0 has the host's own 203.0.113.2, 2001:db8:1::2; the host",
    "x: {mode: passthrough, interfaces: [eth3]}": "eth3 is in br0 already",
    "x: {mode: passthrough, interfaces: [br0]}": "br0 is a bridge itself",
    "x: {mode: passthrough, pf: eth2}": "eth2 is no PCI device, so it has no virtual functions",
    "x: {mode: passthrough, pf: eth9}": "there is no NIC eth9",
    'x: {mode: passthrough, devices: ["ffff:fe:1f.7"]}': "there is no device ffff:fe:1f.7",
}


@pytest.mark.parametrize("line", PROBLEMS)
def test_what_is_missing_is_said_and_nothing_touched(world: World, line: str) -> None:
    host = world.lab.host
    if not host.path("/sys/class/net/br0").exists():
        world.lab.inet.plug(host, "eth3", "p3")
        host.shell("ip link add br0 type bridge; ip link set eth3 master br0")
    before = host.shell("ip -o link | cut -d' ' -f2; virsh -q net-list --all --name").stdout
    host.write("/run/x.yaml", FILE.replace("networks:", f"networks:\n  {line}"))
    done = host.guestnet("-f", "/run/x.yaml", "apply", "--yes", check=False)
    assert done.returncode == 1
    assert f"network x of mode passthrough: {PROBLEMS[line]}" in done.stderr
    assert "nothing was touched" in done.stderr
    assert host.shell("ip -o link | cut -d' ' -f2; virsh -q net-list --all --name").stdout == before


def test_the_nic_comes_back(world: World) -> None:
    host = world.lab.host
    world.guest.destroy()
    assert MAC not in host.run(["ip", "link", "show", "eth1"]).stdout
    apply(host, "networks: {}\n")
    assert host.virsh("-q", "net-list", "--all", "--name").stdout.split() == []
