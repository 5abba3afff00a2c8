"""firewalld beside libvirt's nftables backend: Debian 13's own of both. Here nobody's rules are in iptables, so nobody
loses any when firewalld empties it; and firewalld itself accepts what was translated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab, foreign
from tests.firewalls.conftest import ALL, World, world

pytestmark = pytest.mark.lab


class Beside(World):
    firewalld: foreign.Firewalld


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    with Lab(libvirtd=False) as lab:
        tree = foreign.firewalld13()
        foreign.debian13(lab.host, tree)
        firewalld = foreign.Firewalld(lab.host, tree)
        lab.host.libvirtd.start()
        made = world(lab)
        found = Beside(made.lab, made.guest, made.gateway6)
        found.firewalld = firewalld
        yield found


def steady(beside: Beside) -> None:
    """Everything passes once firewalld stands, and we saw nothing lost."""
    beside.wait_seen(ALL)
    beside.wait_seen(ALL)
    assert beside.drift() == ""


def test_started_after_us(beside: Beside) -> None:
    """Nothing is lost: its table is its own, and libvirt puts the bridge into its zone."""
    beside.firewalld.start()
    steady(beside)
    doctor = beside.host.guestnet("doctor", check=False).stdout
    assert "fine   firewalld: table inet firewalld; virbr84 is in zone libvirt" in doctor


@pytest.mark.parametrize("how", ["--reload", "--complete-reload"])
def test_reloaded(beside: Beside, how: str) -> None:
    beside.firewalld.cmd(how)
    steady(beside)
    assert "firewalld" in beside.host.run(["nft", "list", "tables"]).stdout


def test_panic_mode(beside: Beside) -> None:
    beside.firewalld.cmd("--panic-on")
    assert beside.seen() == "in none, out none, dns none"
    assert "firewalld is in panic mode and drops everything: firewall-cmd --panic-off" in beside.notes()
    beside.firewalld.cmd("--panic-off")
    steady(beside)


def test_a_bridge_in_no_zone(beside: Beside) -> None:
    beside.firewalld.cmd("--zone=libvirt", "--remove-interface=virbr84")
    assert beside.seen() == "in all, out none, dns none"
    doctor = beside.host.guestnet("doctor", check=False).stdout
    assert "wrong  firewalld: table inet firewalld; virbr84 is in no zone" in doctor
    command = doctor.partition("do: firewall-cmd ")[2].partition(";")[0]
    beside.firewalld.cmd(*command.split())
    steady(beside)


def test_our_rules_in_libvirts_table_are_lost_beside_it(beside: Beside) -> None:
    """That is another's doing, and as without firewalld: the next guest's start mends it."""
    beside.host.run(["nft", "flush", "chain", "ip", "libvirt_network", "forward"])
    assert "admit rule in ip libvirt_network forward" in beside.drift()
    beside.host.libvirtd.restart()
    beside.hook()
    steady(beside)


def test_stopped(beside: Beside) -> None:
    beside.firewalld.stop()
    steady(beside)


def test_before_us(beside: Beside) -> None:
    beside.host.guestnet("destroy", "--yes")
    beside.firewalld.start()
    beside.host.guestnet("apply", "--yes")
    beside.host.run(["ip", "link", "set", beside.guest.port, "master", "virbr84"])
    beside.hook("started")
    steady(beside)
    beside.firewalld.stop()
    steady(beside)
