"""firewalld, Debian's own package on a D-Bus of its own: started, reloaded, in panic mode, stopped; after us, before.

Its start, stop and every reload empty iptables; libvirt puts its own rules and zones back within a second or two.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab, foreign
from lab.host import Host
from lab.process import wait_for
from lab.systemd import Systemd
from tests.firewalls.conftest import ALL, World, world

pytestmark = pytest.mark.lab

# What is left when iptables was emptied and libvirt has made its own rules anew.
LOST = "in none, out all, dns all"
STOPPED = "in all, out none, dns all"
GONE = "libvirt's own firewall rules are gone (flushed?); it puts them back when it starts"
UNIT = """
[Service]
Type=simple
ExecStart=/usr/sbin/firewalld --nofork --nopid
ExecReload=/bin/kill -HUP $MAINPID
"""


class Beside(World):
    firewalld: foreign.Firewalld


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    with Lab(libvirtd=False) as lab:
        firewalld = foreign.Firewalld(lab.host)
        lab.host.libvirtd.start()
        made = world(lab)
        found = Beside(made.lab, made.guest, made.gateway6)
        found.firewalld = firewalld
        yield found


def zones(host: Host) -> str:
    return " ".join(host.run(["firewall-cmd", "--get-active-zones"]).stdout.split())


def test_started_after_us(beside: Beside) -> None:
    """Lost until we are asked; libvirt itself puts the bridge into its zone."""
    beside.firewalld.start()
    beside.wait_seen(LOST)
    assert "admit rule in iptables FORWARD" in beside.drift()
    done = beside.host.guestnet("doctor", check=False)
    assert done.returncode == 1
    assert "fine   firewalld: table inet firewalld; virbr84 is in zone libvirt" in done.stdout
    beside.hook()
    beside.wait_seen(ALL)
    assert beside.drift() == ""


@pytest.mark.parametrize("how", ["--reload", "--complete-reload"])
def test_reloaded(beside: Beside, how: str) -> None:
    beside.firewalld.cmd(how)
    beside.wait_seen(LOST)
    assert "admit rule in ip6tables FORWARD" in beside.drift()
    beside.restore()
    beside.wait_seen(ALL)


def test_panic_mode(beside: Beside) -> None:
    """It is meant: nothing of ours opens it, and the plan says what it is."""
    beside.firewalld.cmd("--panic-on")
    assert beside.seen() == "in none, out none, dns none"
    assert "firewalld is in panic mode and drops everything: firewall-cmd --panic-off" in beside.notes()
    beside.apply("--admit")
    assert beside.seen() == "in none, out none, dns none"
    assert "wrong  firewalld's panic mode" in beside.host.guestnet("doctor", check=False).stdout
    beside.firewalld.cmd("--panic-off")
    beside.wait_seen(ALL)
    assert beside.drift() == ""


def test_a_bridge_in_no_zone(beside: Beside) -> None:
    """Out and DNS are rejected; the command that plan and doctor say mends it."""
    beside.firewalld.cmd("--zone=libvirt", "--remove-interface=virbr84")
    assert beside.seen() == "in all, out none, dns none"
    said = "virbr84 is in no zone of firewalld"
    assert said in beside.notes()
    doctor = beside.host.guestnet("doctor", check=False).stdout
    assert "wrong  firewalld: table inet firewalld; virbr84 is in no zone" in doctor
    command = doctor.partition("do: firewall-cmd ")[2].partition(";")[0]
    beside.firewalld.cmd(*command.split())
    assert said not in beside.notes()
    beside.wait_seen(ALL)


def test_stopped(beside: Beside) -> None:
    """libvirt hears of its end, but makes nothing anew: guests have no NAT until it is restarted, as plan says."""
    beside.firewalld.stop()
    beside.wait_seen(STOPPED)
    assert "admit rule in iptables FORWARD" in beside.drift()
    assert GONE in beside.notes()
    beside.host.libvirtd.restart()
    beside.apply()
    beside.wait_seen(ALL)


def test_before_us(beside: Beside) -> None:
    beside.host.guestnet("destroy", "--yes")
    beside.firewalld.start()
    beside.host.guestnet("apply", "--yes")
    assert zones(beside.host) == "libvirt interfaces: virbr84"
    beside.host.run(["ip", "link", "set", beside.guest.port, "master", "virbr84"])
    beside.hook("started")
    beside.wait_seen(ALL)
    assert beside.drift() == ""
    beside.firewalld.stop()


def test_by_systemd_the_unit_waits_until_it_is_settled(beside: Beside) -> None:
    """systemd takes it for started or reloaded before it empties iptables: the unit stays until ours stand.

    Only its first start, while our unit is active already, is not passed on."""
    beside.host.libvirtd.restart()
    with Systemd(beside.host) as systemd:
        beside.host.write("/etc/systemd/system/firewalld.service", UNIT)
        systemd.systemctl("daemon-reload")
        systemd.guestnet("apply", "--yes")
        beside.hook("started")
        systemd.systemctl("start", "firewalld")
        beside.wait_seen(LOST, timeout=20)
        systemd.systemctl("reload", "guestnet")
        beside.wait_seen(ALL)
        for verb in ("restart", "reload"):
            systemd.systemctl(verb, "firewalld")
            settled(beside, systemd)
        systemd.systemctl("stop", "firewalld")
        beside.wait_seen(STOPPED)
        systemd.systemctl("start", "firewalld")
        settled(beside, systemd)


def settled(beside: Beside, systemd: Systemd) -> None:
    """Ours stand. libvirt's own may not: it makes them anew when firewalld's name comes up on D-Bus, and now and then
    (one run in five here; libvirt 9.0, firewalld 1.3) does so before firewalld empties iptables. Then it is named."""
    wait_for("firewalld to run", lambda: beside.firewalld.state() == "running", timeout=30, interval=0.2)
    wait_for("the unit", lambda: systemd.state("guestnet") == "active", timeout=40, interval=0.5)
    wait_for("forwards", lambda: beside.seen() in (ALL, STOPPED))
    assert "admit rule" not in systemd.guestnet("status").stdout
    if beside.seen() == STOPPED:
        assert GONE in beside.notes()
        beside.host.libvirtd.restart()
        beside.hook()
    beside.wait_seen(ALL)
