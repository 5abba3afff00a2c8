"""A network that changes under a running guest: live where libvirt can, else restarted with the guest put back at once;
its two definitions end right, whatever state it was in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from guestnet.compile import meantime
from guestnet.host import carry
from lab import Lab, flow
from lab.guest import RealGuest
from tests.live.conftest import FILE, apply

pytestmark = pytest.mark.lab

# STP stays on, as it is unless told otherwise.
TEXT = """
networks:
  lab:
    mode: nat
    ipv4: {address: 192.168.84.1/24, ranges: [192.168.84.100-192.168.84.200]}
    ipv6: "fd00:84::1/64"
    dns: {hosts: {a.example: 10.0.0.1}}
  cell: {mode: isolated, ipv4: 10.66.1.1/24, ipv6: "fd00:66::1/64", host_access: services, guest_isolation: true}
guests:
  web1: {network: lab, forwards: [4023:5001/tcp+udp]}
"""
RATE = 100  # packets a second
WAYS = {"v4": "203.0.113.2", "v6": "2001:db8:1::2"}


class World(NamedTuple):
    lab: Lab
    guest: RealGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """web1 answers what comes in through the forward; one and two, in the isolated network, only run."""
    with Lab() as lab:
        apply(lab.host, TEXT)
        lab.host.libvirtd.restart()
        guest = lab.host.define_guest("web1", "lab")
        guest.start()
        for name in ("one", "two"):
            lab.host.define_guest(name, "cell", memory=16)
            lab.host.virsh("start", name, "--paused")
        guest.wait_addresses()
        guest.run("mirror 5001")
        yield World(lab, guest)


def during(lab: Lab, act: Callable[[], object]) -> dict[str, dict[str, Any]]:
    """By family: what of the packets, sent from the internet while `act` is done, came back; `gap` in seconds."""
    text = Path(flow.__file__).read_text()
    there = {
        way: lab.inet.popen(["/usr/bin/python3", "-c", text, host, "4023", str(RATE)], stdin=subprocess.PIPE)
        for way, host in WAYS.items()
    }
    for one in there.values():
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    act()
    found = {way: json.loads(one.communicate(timeout=20)[0]) for way, one in there.items()}
    return {way: told | {"gap": gap(told["udp lost"])} for way, told in found.items()}


def gap(lost: list[int]) -> float:
    """The longest time without an answer, in seconds."""
    longest, length = 0, 0
    for i, number in enumerate(lost):
        length = length + 1 if i and lost[i - 1] == number - 1 else 1
        longest = max(longest, length)
    return longest / RATE


def ports(lab: Lab, network: str) -> set[str]:
    return set(lab.host.virsh("-q", "net-port-list", network).stdout.split())


def leases(lab: Lab) -> list[str]:
    """Sorted: dnsmasq tells of them in another order when it starts anew."""
    return sorted(lab.host.virsh("-q", "net-dhcp-leases", "lab").stdout.splitlines())


def right(lab: Lab) -> None:
    """The plan is empty, and so libvirt's two definitions are what the file says."""
    plan = lab.host.guestnet("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 0, plan.stdout


def test_dns_names_change_live(world: World) -> None:
    lab = world.lab
    lab.host.write(FILE, TEXT.replace("{a.example: 10.0.0.1}", "{b.example: 10.0.0.2, a.example: 10.0.0.3}"))
    said = lab.host.guestnet("plan").stdout
    assert "updated as it runs" in said
    assert "no guest loses its network" in said
    told = during(lab, lambda: apply(lab.host))
    assert {(one["tcp"], tuple(one["udp lost"])) for one in told.values()} == {("whole", ())}
    for name, address in (("b.example", "10.0.0.2"), ("a.example", "10.0.0.3")):
        assert address in world.guest.run(f"nslookup {name} 192.168.84.1").stdout
    for stored in ("", "--inactive"):
        assert "<host ip='10.0.0.2'>" in lab.host.virsh("net-dumpxml", "lab", *stored.split()).stdout
    right(lab)


def test_ranges_change_live(world: World) -> None:
    lab, before = world.lab, ports(world.lab, "lab")
    told = during(lab, lambda: apply(lab.host, TEXT.replace("84.100-", "84.90-")))
    assert {one["tcp"] for one in told.values()} == {"whole"}
    assert max(one["gap"] for one in told.values()) < 0.5
    assert "start='192.168.84.90'" in lab.host.virsh("net-dumpxml", "lab").stdout
    told = during(lab, lambda: apply(lab.host, TEXT.replace("200]", "200], lease: 7200")))
    assert {one["tcp"] for one in told.values()} == {"whole"}
    assert "expiry='7200'" in lab.host.virsh("net-dumpxml", "lab").stdout
    assert ports(lab, "lab") == before, "not restarted"
    right(lab)


def test_a_restart_puts_its_guests_back_at_once(world: World) -> None:
    lab = world.lab
    apply(lab.host, TEXT)
    before, had = ports(lab, "lab"), leases(lab)
    assert "192.168.84." in "".join(had)
    lab.host.write(FILE, TEXT.replace("    dns:", "    domain: lab.internal\n    dns:"))
    assert "restart: web1 without network for up to 1 s" in lab.host.guestnet("plan").stdout
    history = lab.host.shell(HISTORY).stdout
    told = during(lab, lambda: apply(lab.host))
    assert lab.host.shell(HISTORY).stdout == history, "nft leaves none"
    assert {one["tcp"] for one in told.values()} == {"whole"}, told
    # 0.1 s where nobody else works. To wait until libvirt has its rules in would be 0.7, STP alone 4.
    assert all(one["gap"] < 0.7 for one in told.values()), told
    assert ports(lab, "lab") == before, "libvirt's own record of the guest's NIC"
    assert leases(lab) == had
    assert "fd00:84::1" not in lab.host.run(["ip", "-6", "addr", "show", "tentative"]).stdout
    assert str(carry.LAST) not in lab.host.shell("ip route; ip -6 route").stdout, "its own routes are gone"
    assert meantime.TABLE not in lab.host.run(["nft", "list", "tables"]).stdout
    right(lab)
    world.guest.destroy()  # libvirt finds what it has on record
    assert not ports(lab, "lab")
    world.guest.start()
    world.guest.wait_addresses()
    world.guest.run("mirror 5001")
    assert len(ports(lab, "lab")) == 1


def test_a_restart_of_one_whose_records_are_lost(world: World) -> None:
    """As after one by hand: it has the guests all the same, and they are carried through."""
    lab = world.lab
    apply(lab.host, TEXT)
    lab.host.virsh("net-destroy", "lab")
    lab.host.virsh("net-start", "lab")
    assert not ports(lab, "lab")
    lab.host.write(FILE, TEXT.replace("    dns:", "    domain: lab.internal\n    dns:"))
    told = during(lab, lambda: apply(lab.host))
    assert {one["tcp"] for one in told.values()} == {"whole"}, told
    assert all(one["gap"] < 0.7 for one in told.values()), told
    apply(lab.host)
    assert len(ports(lab, "lab")) == 1
    right(lab)


def test_guests_stay_apart_through_a_restart(world: World) -> None:
    lab, before = world.lab, ports(world.lab, "cell")
    apply(lab.host, TEXT.replace("guest_isolation: true", "guest_isolation: true, mtu: 1400"))
    assert isolated(lab) == 2
    assert ports(lab, "cell") == before
    right(lab)


def isolated(lab: Lab) -> int:
    bridge = lab.host.virsh("net-info", "cell").stdout.rpartition("Bridge:")[2].strip()
    shown = lab.host.run(["ip", "-d", "link", "show", "master", bridge]).stdout
    assert shown.count("state forwarding") == 2, "and none waits for STP"
    return shown.count("isolated on")


def test_a_restart_by_hand_is_mended_live(world: World) -> None:
    """The hook puts the taps back; what libvirt has forgotten, apply."""
    lab = world.lab
    before = ports(lab, "cell")
    lab.host.virsh("net-destroy", "cell")
    lab.host.virsh("net-start", "cell")
    assert isolated(lab) == 2
    assert not ports(lab, "cell")
    plan = lab.host.guestnet("plan").stdout
    assert "libvirt's record of vnet" in plan
    assert "no guest loses its network" in plan
    apply(lab.host)
    assert ports(lab, "cell") == before
    right(lab)


HISTORY = "stat -c '%i %y' /.nft.history || true"
RECORD = "<host ip='10.9.9.9'><hostname>x</hostname></host>"
EDIT = "virsh net-dumpxml cell | sed s/1400/1300/ | virsh net-define /dev/stdin"
STATES = {
    "off": "virsh net-destroy cell",
    "off, and edited": f"virsh net-destroy cell; {EDIT}",
    "no stored definition": "virsh net-undefine cell",
    "stored one edited": EDIT,
    "running one edited": f'virsh net-update cell add dns-host "{RECORD}" --live',
    "both edited": f'virsh net-update cell add dns-host "{RECORD}" --live --config',
    "no autostart": "virsh net-autostart cell --disable",
    "gone": "virsh net-destroy cell; virsh net-undefine cell",
    "off, no autostart": "virsh net-destroy cell; virsh net-autostart cell --disable",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", ["live", "restart"])
def test_both_definitions_end_right_whatever_state_it_was_in(world: World, state: str, change: str) -> None:
    lab = world.lab
    text = TEXT.replace("guest_isolation: true", "guest_isolation: true, mtu: 1400")
    apply(lab.host, text)
    lab.host.shell(STATES[state])
    changes = {
        "live": text.replace("mtu: 1400", "mtu: 1400, dns: {hosts: {c.example: 10.0.0.9}}"),
        "restart": text.replace("mtu: 1400", "mtu: 1410"),
    }
    lab.host.write(FILE, changes[change])
    plan = lab.host.guestnet("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 2, "it is named"
    apply(lab.host)
    right(lab)
    running, stored = (lab.host.virsh("net-dumpxml", "cell", *flag).stdout for flag in ([], ["--inactive"]))
    for xml in (running, stored):
        assert ("mtu size='1410'" in xml) == (change == "restart")
        assert ("c.example" in xml) == (change == "live")
    info = lab.host.virsh("net-info", "cell").stdout.split()
    assert info.count("yes") == 3, "active, persistent, autostart"
    assert isolated(lab) == 2
