"""ufw, Debian's own package: enabled, reloaded, disabled, reset; before guestnet and after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab, foreign
from tests.firewalls.conftest import ALL, World, world

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def beside() -> Iterator[World]:
    with Lab(libvirtd=False) as lab:
        foreign.put_ufw(lab.host)
        lab.host.libvirtd.start()
        yield world(lab)


def ufw(world: World, *words: str) -> str:
    return world.host.run(["ufw", "--force", *words]).stdout


def policy(world: World) -> str:
    return world.host.run(["iptables", "-S", "FORWARD"]).stdout.splitlines()[0]


def test_enabled_after_us_reloaded_and_disabled(beside: World) -> None:
    assert "enabled" in ufw(beside, "enable")
    assert policy(beside) == "-P FORWARD DROP"
    beside.wait_seen(ALL)
    assert beside.drift() == "", "our rule stays on top"
    doctor = beside.host.guestnet("doctor", check=False).stdout
    assert "fine   ufw: chain ufw-before-forward in iptables; FORWARD drops by default in iptables, ip6tables" in doctor
    ufw(beside, "reload")
    beside.wait_seen(ALL)
    assert beside.drift() == ""
    ufw(beside, "disable")
    assert policy(beside) == "-P FORWARD ACCEPT"
    beside.wait_seen(ALL)


def test_reset(beside: World) -> None:
    ufw(beside, "enable")
    ufw(beside, "reset")
    assert policy(beside) == "-P FORWARD ACCEPT"
    beside.wait_seen(ALL)
    assert beside.drift() == ""


def test_a_flush_while_it_runs(beside: World) -> None:
    """`iptables -F FORWARD` leaves its policy: nothing passes until both are back."""
    ufw(beside, "enable")
    beside.host.shell("iptables -F FORWARD; ip6tables -F FORWARD")
    assert beside.seen() == "in none, out none, dns all"
    assert "admit rule in iptables FORWARD" in beside.drift()
    beside.restore()
    assert beside.seen() == "in all, out none, dns all", "libvirt's own are gone until it is started again"
    assert "libvirt's own firewall rules are gone" in beside.notes()
    beside.host.libvirtd.restart()
    beside.hook("reconnect")
    beside.wait_seen(ALL)


def test_before_us(beside: World) -> None:
    beside.host.guestnet("destroy", "--yes")
    beside.host.guestnet("apply", "--yes")
    beside.host.run(["ip", "link", "set", beside.guest.port, "master", "virbr84"])
    beside.hook("started")
    beside.wait_seen(ALL)
    assert policy(beside) == "-P FORWARD DROP"
    assert beside.drift() == ""
