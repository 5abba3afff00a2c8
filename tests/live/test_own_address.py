"""A guest that has another address than it is to have: its forwards follow it, by packets, and stay with it.

The domain stays paused, for libvirt's hooks; a fake guest with the MAC of the file is the one that answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.host import Host
from lab.process import wait_for
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

MAC = "52:54:00:00:2a:01"
FILE = f"""
networks:
  lab: {{mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}}
guests:
  web: {{network: lab, mac: "{MAC}", forwards: ["8080:80"]}}
"""
HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
NOW = "/var/lib/guestnet/compiled/now/web"
WAYS = (("203.0.113.2", "203.0.113.9"), ("2001:db8:1::2", "2001:db8:1::9"))


class World(NamedTuple):
    lab: Lab
    guest: FakeGuest

    @property
    def host(self) -> Host:
        return self.lab.host

    def assert_reached(self) -> None:
        for address, client in WAYS:
            got = self.lab.inet.probe("tcp", address, 8080, source=client)
            assert got.text == f"web tcp 80 from {client}", (address, got)

    def move(self, last: int) -> None:
        """The guest sets itself other addresses, and says so by what it sends."""
        self.guest.shell(
            f"""ip addr flush dev eth0 scope global
            ip addr add 10.9.1.{last}/24 dev eth0
            ip addr add fd00:9:0:1::{last}/64 dev eth0 nodad
            ip route add default via 10.9.1.1
            ip -6 route replace default via fd00:9:0:1::1"""
        )
        assert self.guest.probe("tcp", "203.0.113.1", 7).answered, "the host has met it"
        assert self.guest.probe("tcp", "2001:db8:1::1", 7).answered

    def forget(self) -> None:
        """As neighbours age out of a table that is full."""
        self.host.run(["ip", "neigh", "flush", "dev", "vlab"])

    def targets(self) -> set[str]:
        """The last parts of the addresses that the forwards go to."""
        words = elements(self.host).replace(",", " ").split()
        its = {word for word in words if word.startswith(("10.9.1.", "fd00:9:0:1::"))}
        return {word.replace("::", ".").rpartition(".")[2] for word in its}

    def lines(self) -> str:
        return " ".join(self.host.guestnet("plan").stdout.split())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A guest at 10.9.1.77 and fd00:9:0:1::77, which it set itself, after the apply that sees it."""
    with Lab() as lab:
        host = lab.host
        apply(host, FILE)
        host.libvirtd.restart()
        host.define_guest("web", "lab", "52:54:00:99:99:99", memory=16)
        host.virsh("start", "web", "--paused")
        wait_for("the forward", lambda: "8080" in elements(host))
        plug = Static("10.9.1.77/24", "fd00:9:0:1::77/64", "10.9.1.1", "fd00:9:0:1::1")
        found = World(lab, host.fake_guest("web", "vlab", mac=MAC, plug=plug, ports=(80,)))
        assert found.guest.probe("tcp", "203.0.113.1", 7).answered, "the host has met it"
        assert found.guest.probe("tcp", "2001:db8:1::1", 7).answered
        yield found


def test_followed(world: World) -> None:
    host = world.host
    assert not world.lab.inet.probe("tcp", "203.0.113.2", 8080, timeout=1).answered
    assert "guest web (running) ~ its forwards go to 10.9.1.77, which it has" in world.lines()
    said = " ".join(apply(host).split())
    assert "guest web has set its address itself, 10.9.1.77, and does not ask for 10.9.1" in said
    world.assert_reached()
    assert "(it has 10.9.1.77)" in host.guestnet("status").stdout
    assert "Nothing to do" in host.guestnet("plan").stdout


def test_through_what_builds_the_forwards_anew(world: World) -> None:
    host = world.host
    host.libvirtd.restart()
    world.assert_reached()
    host.run([HOOK, "-", "rules"])  # as systemctl reload guestnet
    world.assert_reached()
    host.run(["nft", "delete", "table", "inet", "guestnet"])
    host.shell(f"echo '<domain/>' | {HOOK} web reconnect begin -")
    world.assert_reached()
    host.run(["nft", "delete", "table", "inet", "guestnet"])
    host.shell(f"echo '<domain/>' | {HOOK} other start begin -")  # that of another guest
    world.assert_reached()
    assert "Nothing to do" in host.guestnet("plan").stdout


def test_while_nobody_hears_of_it(world: World) -> None:
    host = world.host
    world.forget()
    assert "Nothing to do" in host.guestnet("plan").stdout, "it answers when it is asked"
    world.guest.shell("ip link set eth0 down")
    world.forget()
    assert "Nothing to do" in host.guestnet("plan").stdout, "who is silent has not moved"
    world.guest.shell("ip link set eth0 up")
    world.move(77)
    world.forget()
    assert "Nothing to do:" in apply(host)
    world.assert_reached()


def test_what_is_in_force_shows_the_address_when_that_alone_differs(world: World) -> None:
    """As a hook of an earlier version left it, which knew the reserved address alone."""
    host = world.host
    held = host.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
    assert "10.9.1.77 . 80" in held
    for change in ("delete", "add"):
        value = " : 10.9.1.9 . 80" if change == "add" else ""
        host.run(["nft", f"{change} element inet guestnet any4 {{ tcp . 8080{value} }}"])
    said = world.lines()
    assert "- in force: 8080/tcp -> 10.9.1.9:80 (IPv4)" in said
    assert "+ in force: 8080/tcp -> 10.9.1.77:80 (IPv4)" in said
    apply(host)
    world.assert_reached()


def test_a_second_move_wins_over_what_the_kernel_still_remembers(world: World) -> None:
    host = world.host
    world.assert_reached()
    world.move(88)
    known = host.run(["ip", "neigh", "show", "dev", "vlab"]).stdout
    assert "10.9.1.77 lladdr" in known, "else this shows nothing"
    assert "~ its forwards go to 10.9.1.88, which it has (not 10.9.1.77)" in world.lines()
    apply(host)
    world.assert_reached()
    host.libvirtd.restart()
    world.assert_reached()
    world.move(66)  # a lower number than the one before
    apply(host)
    world.assert_reached()
    assert world.targets() == {"66"}
    world.guest.shell("ip addr add 10.9.1.55/24 dev eth0")
    assert world.guest.probe("tcp", "203.0.113.1", 7, source="10.9.1.55").answered
    assert "Nothing to do" in host.guestnet("plan").stdout, "one beside the one that it is followed at"


def test_a_saved_guest_has_it_again(world: World) -> None:
    host = world.host
    host.virsh("managedsave", "web")
    assert world.targets() == set()
    assert "Nothing to do" in host.guestnet("plan").stdout
    host.virsh("start", "web", "--paused")
    world.assert_reached()
    assert "Nothing to do" in host.guestnet("plan").stdout


def test_one_that_starts_anew_is_expected_where_it_is_to_be(world: World) -> None:
    host = world.host
    host.virsh("destroy", "web")
    world.guest.shell("ip link set eth0 down")
    assert "Nothing to do" in host.guestnet("plan").stdout
    host.virsh("start", "web", "--paused")
    assert not host.exists(NOW)
    (reserved,) = {
        nic for nic in host.read("/var/lib/guestnet/compiled/guests/web").split() if nic.startswith("10.9.1.")
    }
    assert reserved.rpartition(".")[2] in world.targets()
    assert not world.targets() & {"55", "66", "77", "88"}
    assert "Nothing to do" in host.guestnet("plan").stdout, "what the kernel remembers is of another life"
    world.guest.shell("ip link set eth0 up")
    world.move(77)
    apply(host)
    world.assert_reached()


def test_back_where_it_is_to_be(world: World) -> None:
    host = world.host
    text = host.read("/var/lib/guestnet/compiled/guests/web")
    _, _, _, ipv4, ipv6 = next(line for line in text.splitlines() if line.startswith("nic ")).split(" ")
    world.move(int(ipv4.rpartition(".")[2]))
    world.guest.shell(f"ip addr add {ipv6}/64 dev eth0 nodad")
    assert world.guest.probe("tcp", "2001:db8:1::1", 7, source=ipv6).answered
    assert "~ its forwards go to 10.9.1.77 no more, but to the address that it is to have" in world.lines()
    apply(host)
    world.assert_reached()
    assert not host.exists(NOW)


CHANGED = """
networks:
  lab: {{mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: none}}
guests:
  web: {{network: lab, mac: "52:54:00:00:2a:01", ipv4: 10.9.1.{last}, forwards: ["8080:80"]}}
"""


def test_a_reservation_that_changes_under_a_running_guest() -> None:
    with Lab() as lab:
        host = lab.host
        apply(host, CHANGED.format(last=20))
        host.libvirtd.restart()
        host.define_guest("web", "lab", "52:54:00:99:99:99", memory=16)
        host.virsh("start", "web", "--paused")
        guest = host.fake_guest("web", "vlab", mac=MAC, ports=(80,))
        ipv4, _ = guest.wait_addresses(v6=False)
        assert str(ipv4) == "10.9.1.20"
        world = World(lab, guest)

        def reached() -> str:
            return lab.inet.probe("tcp", "203.0.113.2", 8080, source="203.0.113.9").text

        assert reached() == "web tcp 80 from 203.0.113.9"
        said = " ".join(apply(host, CHANGED.format(last=30)).split())
        assert "guest web moves from 10.9.1.20 to 10.9.1.30" in said
        assert "its forwards go to 10.9.1.20, which it has" in said
        assert reached() == "web tcp 80 from 203.0.113.9"
        host.libvirtd.restart()
        assert reached() == "web tcp 80 from 203.0.113.9"
        host.run([HOOK, "-", "rules"])
        assert reached() == "web tcp 80 from 203.0.113.9"
        world.forget()
        assert "Nothing to do" in host.guestnet("plan").stdout
        assert world.targets() == {"20"}
        guest.stop()
        guest = host.fake_guest("web2", "vlab", mac=MAC, ports=(80,))
        ipv4, _ = guest.wait_addresses(v6=False)
        assert str(ipv4) == "10.9.1.30"
        apply(host)
        assert world.targets() == {"30"}
        assert reached() == "web2 tcp 80 from 203.0.113.9"
        assert not host.exists(NOW)
        host.guestnet("rollback", "--yes")
        assert world.targets() == {"30"}, "the address that it has, until its next lease"
        assert host.exists(NOW)
        host.run([HOOK, "-", "rules"])
        assert world.targets() == {"30"}
        assert reached() == "web2 tcp 80 from 203.0.113.9"
        host.write("/etc/guestnet/guestnet.yaml", CHANGED.format(last=20))
        assert "Nothing to do" in host.guestnet("plan").stdout
