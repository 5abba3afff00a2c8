"""A NIC plugged into a running guest and out of it: a real guest, which boots without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest
from lab.guest import RealGuest
from lab.process import wait_for
from tests.live.conftest import WAYS, Way, apply, elements

pytestmark = pytest.mark.lab

MAC = "52:54:00:00:0a:01"
OTHER = "52:54:00:00:0a:02"
FILE = f"""
networks:
  lab: {{mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84:0:1::1/64"}}
guests:
  web1: {{network: lab, mac: "{MAC}", ipv4: 192.168.84.10, ipv6: "::10", forwards: ["5010:80/tcp+udp"]}}
  other: {{network: lab, mac: "{OTHER}", ipv4: 192.168.84.20, ipv6: "::20", forwards: ["5020:80/tcp+udp"]}}
"""


class World(NamedTuple):
    lab: Lab
    guest: RealGuest
    other: FakeGuest

    def plug(self, mac: str = MAC) -> tuple[str, str]:
        """Plug it in; the addresses that the guest has then."""
        attach = ["attach-interface", "web1", "network", "lab", "--mac", mac, "--model", "virtio", "--live"]
        self.lab.host.virsh(*attach)
        ipv4, ipv6 = self.guest.wait_addresses()
        return str(ipv4), str(ipv6)

    def unplug(self) -> None:
        """Pull it out, and wait until the guest has let go of it."""
        self.lab.host.virsh("detach-interface", "web1", "network", "--live")
        wait_for("the NIC to be gone", lambda: not self.lab.host.virsh("-q", "domiflist", "web1").stdout.strip())
        self.guest.run("rm -f /run/dhcp-eth* /var/lib/dhcpcd/*")  # the next one is a new one to the guest, too

    def answers(self, port: int, timeout: float = 3.0) -> list[str]:
        """Who answers on a port of the host, for each way in."""
        return [self._answer(way, port, timeout) for way in WAYS]

    def _answer(self, way: Way, port: int, timeout: float) -> str:
        got = self.lab.inet.probe(way.protocol, way.host, port, source=way.client, timeout=timeout)
        return got.peer or "nobody"

    def plan(self) -> tuple[int, str]:
        done = self.lab.host.guestnet("plan", "--detailed-exitcode", check=False)
        return done.returncode, " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """web1 runs, with no NIC. `other` runs for libvirt, and a fake guest with its MAC answers for it."""
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        guest = RealGuest(lab.host, "web1", (), ports=(80,), duid="ll", memory=160)
        guest.define()
        guest.start()
        lab.host.define_guest("other", "lab", "52:54:00:00:0a:99", memory=16)
        lab.host.virsh("start", "other", "--paused")
        other = lab.host.fake_guest("other", "virbr84", mac=OTHER)
        other.wait_addresses()
        guest.wait_agent()
        yield World(lab, guest, other)


def test_plugged_in_and_out(world: World) -> None:
    """The forwards are there before the NIC is: they follow the guest. It gets the addresses reserved for its MAC."""
    assert "guest web1 has no NIC on network lab" in world.plan()[1]
    assert world.plug() == ("192.168.84.10", "fd00:84:0:1::10")
    assert world.answers(5010) == ["web1"] * 4
    code, said = world.plan()
    assert (code, "guest web1" in said) == (0, False)

    before = elements(world.lab.host)
    world.unplug()
    assert world.answers(5010, timeout=0.5) == ["nobody"] * 4
    assert world.answers(5020) == ["other"] * 4
    assert elements(world.lab.host) == before
    code, said = world.plan()
    assert (code, "guest web1 has no NIC on network lab" in said) == (0, True)


def test_a_nic_whose_mac_nobody_knew(world: World) -> None:
    """The file has none for it, and at the guest's start there was none in its XML."""
    new = FILE.replace(f'mac: "{MAC}", ipv4: 192.168.84.10, ipv6: "::10"', 'ipv4: 192.168.84.30, ipv6: "::30"')
    assert new != FILE
    apply(world.lab.host, new)
    assert world.plug("52:54:00:00:0a:77")[0] == "192.168.84.30"
    assert world.answers(5010) == ["web1"] * 4
    assert world.plan()[0] == 0, "apply would reserve the same"
    world.unplug()
