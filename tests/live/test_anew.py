"""A guest that is not quite the one it was: defined anew with another MAC, or renamed.

The domains stay paused, for libvirt's hooks; a fake guest with the domain's MAC is the DHCP client.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.host import Host
from lab.process import wait_for
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84:0:1::1/64"}
guests:
  one: {network: lab, ipv4: 192.168.84.10, ipv6: "::10", forwards: ["5010:80/tcp+udp"]}
  two: {network: lab, ipv4: 192.168.84.20, ipv6: "::20", forwards: ["5020:80/tcp+udp"]}
"""
RESERVED = {"one": ("192.168.84.10", "fd00:84:0:1::10"), "two": ("192.168.84.20", "fd00:84:0:1::20")}
FOLDER = "/var/lib/libvirt/dnsmasq/guestnet-lab"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        yield lab


def start(host: Host, name: str, mac: str) -> None:
    """Defines the guest anew with this MAC, and starts it."""
    host.virsh("destroy", name, check=False)
    host.virsh("undefine", name, check=False)
    host.define_guest(name, "lab", mac, memory=16)
    host.virsh("start", name, "--paused")


def leased(lab: Lab, name: str, mac: str) -> tuple[str, str]:
    """The addresses that a DHCP client with this MAC gets, of both families."""
    fake = lab.host.fake_guest(name, "virbr84", mac=mac)
    ipv4, ipv6 = fake.wait_addresses()
    fake.stop()
    return str(ipv4), str(ipv6)


def forwarded(host: Host) -> set[str]:
    """Which of the guests have forwards in force, in both families."""
    text = elements(host)
    return {name for name, (ipv4, ipv6) in RESERVED.items() if f"{ipv4} . 80" in text and f"{ipv6} . 80" in text}


def test_defined_anew_while_its_old_lease_lasts(lab: Lab) -> None:
    start(lab.host, "two", "52:54:00:00:0d:11")
    assert leased(lab, "two-old", "52:54:00:00:0d:11") == RESERVED["two"]
    start(lab.host, "two", "52:54:00:00:0d:12")
    assert lab.host.read(f"{FOLDER}/two").startswith("52:54:00:00:0d:12,")
    assert leased(lab, "two-new", "52:54:00:00:0d:12") == RESERVED["two"]
    lab.host.virsh("destroy", "two")


def test_forwards_follow_the_name_in_the_file(lab: Lab) -> None:
    """A renamed guest has none until the file calls it so; the name it had is free for another."""
    lab.host.virsh("destroy", "two", check=False)
    start(lab.host, "one", "52:54:00:00:0d:21")
    assert forwarded(lab.host) == {"one"}
    lab.host.virsh("destroy", "one")
    lab.host.virsh("domrename", "one", "uno")
    lab.host.virsh("start", "uno", "--paused")
    assert forwarded(lab.host) == set()
    said = " ".join(lab.host.guestnet("plan").stdout.split())
    assert "guest one is not defined in libvirt, but domain uno has its" in said

    apply(lab.host, FILE.replace(" one:", " uno:"))
    assert forwarded(lab.host) == {"one"}, "at once: it runs"
    assert lab.host.shell(f"ls {FOLDER}").stdout.split() == ["two", "uno"]
    assert lab.host.read(f"{FOLDER}/uno") == "52:54:00:00:0d:21,192.168.84.10,[fd00:84:0:1::10],uno\n"
    lab.host.libvirtd.restart()
    assert forwarded(lab.host) == {"one"}
    lab.host.virsh("destroy", "uno")
    wait_for("its forwards to be gone", lambda: forwarded(lab.host) == set())

    start(lab.host, "one", "52:54:00:00:0d:22")  # the file knows it no longer
    assert forwarded(lab.host) == set()
    lab.host.virsh("destroy", "one")
    assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
