"""A failing step undoes the earlier ones; a killed apply is taken back by the next; destroy leaves nothing."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from tests.live.conftest import FILE, SEED, apply

pytestmark = pytest.mark.lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.write(FILE, SEED)
        yield lab


def state(host: Host) -> str:
    """The whole of the host that an apply touches. Chains of libvirt's own stay once they are made, rules count."""
    script = """
    for f in $(find /etc/libvirt /etc/sysctl.d /var/lib/guestnet /var/lib/libvirt -type f 2>/dev/null | sort); do
      case $f in *.log|*/capabilities/*) ;; *) echo "$f $(sha256sum < $f)" ;; esac; done
    find /etc/libvirt /etc/sysctl.d /var/lib/guestnet /var/log/guestnet /run/guestnet /var/lib/libvirt/dnsmasq \\
      -type d 2>/dev/null | sort
    nft -s list tables inet; iptables -S | grep -v LIBVIRT; ip6tables -S | grep -v LIBVIRT
    ip -br link | awk '{print $1}'; virsh -q net-list --all --name
    cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/*/accept_ra
    """
    return host.run(["sh", "-c", script]).stdout


def without(program: str) -> tuple[str, ...]:
    """A prefix under which a program in /usr/sbin always fails, for the command behind it and not for libvirtd.

    iptables and ip6tables are links to one program: so the folder is copied, and the name in it replaced.
    """
    script = """
    mkdir -p /run/sbin; cp -a /usr/sbin/. /run/sbin
    printf '#!/bin/sh\necho broken on purpose >&2\nexit 4\n' > /run/broken; chmod 755 /run/broken
    rm /run/sbin/$0; cp /run/broken /run/sbin/$0; mount --bind /run/sbin /usr/sbin; exec "$@"
    """
    return ("unshare", "--mount", "sh", "-c", script, program)


@pytest.mark.parametrize("program", ["ip6tables", "iptables"])
def test_a_failing_step_undoes_the_earlier_ones(lab: Lab, program: str) -> None:
    lab.host.guestnet("plan")  # libvirt and iptables make their own chains at the first look
    before = state(lab.host)
    done = lab.host.run([*without(program), GUESTNET, "apply", "--yes"], check=False)
    assert done.returncode == 1, done
    assert " done  network lab defined and started" in done.stderr
    assert f" FAIL  admit rule in {program} FORWARD" in done.stderr
    assert "broken on purpose" in done.stderr
    assert "Traceback" not in done.stderr
    assert state(lab.host) == before
    apply(lab.host)


def test_libvirt_refuses_the_network(lab: Lab) -> None:
    """libvirtd starts dnsmasq; with one that fails, the network does not start."""
    lab.host.guestnet("plan")
    before = state(lab.host)
    lab.host.run(["sh", "-c", "printf '#!/bin/sh\\nexit 1\\n' > /run/dnsmasq; chmod 755 /run/dnsmasq"])
    lab.host.run(["sh", "-c", "mount --bind /run/dnsmasq /usr/sbin/dnsmasq"])
    done = lab.host.guestnet("apply", "--yes", check=False)
    lab.host.run(["umount", "/usr/sbin/dnsmasq"])
    assert done.returncode == 1, done
    assert "FAIL  network lab" in done.stderr
    assert "libvirt says" in done.stderr
    assert state(lab.host) == before
    apply(lab.host)


def begun(lab: Lab, delay: float) -> subprocess.Popen[str]:
    """An apply that has begun to act `delay` seconds ago."""
    started = lab.host.popen([GUESTNET, "apply", "--yes"])
    wait = time.monotonic() + 10
    while not lab.host.exists("/var/lib/guestnet/journal") and time.monotonic() < wait and started.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    return started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_told_to_end_in_the_middle(lab: Lab, number: signal.Signals) -> None:
    """Ctrl-C, kill, a terminal that goes: everything is taken back, at once."""
    lab.host.guestnet("plan")
    before = state(lab.host)
    for delay in (0.05, 0.01, 0.0):
        started = begun(lab, delay)
        lab.host.send_signal(started, number)
        _, said = started.communicate(timeout=20)
        if started.returncode == 130:
            break
        lab.host.guestnet("destroy", "--yes")  # it was done before the signal came
    assert started.returncode == 130, said
    assert "undoing" in said
    assert "Traceback" not in said
    assert state(lab.host) == before


def test_kill_9_in_the_middle(lab: Lab) -> None:
    """At growing delays, so that it hits different steps; the next apply takes back what was begun, and goes on."""
    lab.host.guestnet("plan")
    hits = 0
    for delay in (0.01, 0.06, 0.12, 0.2):
        started = begun(lab, delay)
        lab.host.send_signal(started, signal.SIGKILL)
        started.wait(timeout=10)
        left = lab.host.exists("/var/lib/guestnet/journal")
        hits += left
        done = lab.host.guestnet("apply", "--yes")
        assert ("cut off" in done.stderr) == left
        assert not lab.host.exists("/var/lib/guestnet/journal")
        assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
        lab.host.guestnet("destroy", "--yes")
    assert hits >= 1, "too few of the kills came in time to say anything"


def test_one_apply_at_a_time(lab: Lab) -> None:
    lab.host.run(["mkdir", "-p", "/run/guestnet"])
    holder = lab.host.popen(["flock", "/run/guestnet/apply.lock", "sleep", "30"])
    time.sleep(0.3)
    done = lab.host.guestnet("apply", "--yes", check=False)
    lab.host.send_signal(holder, signal.SIGKILL)
    assert done.returncode == 1
    assert "another guestnet" in done.stderr


def test_what_leaves_the_file_leaves_the_host_and_is_remembered(lab: Lab) -> None:
    apply(lab.host)
    ula = lab.host.guestnet("show").stdout
    apply(lab.host, "networks: {}\n")
    assert lab.host.virsh("-q", "net-list", "--all", "--name").stdout.strip() == ""
    assert "guestnet" not in lab.host.run(["nft", "list", "tables"]).stdout
    assert lab.host.sysctl("ipv4/ip_forward") == "0"
    apply(lab.host, SEED)
    assert lab.host.guestnet("show").stdout == ula


def test_destroy_leaves_nothing(lab: Lab) -> None:
    lab.host.guestnet("plan")
    before = state(lab.host)
    apply(lab.host)
    assert state(lab.host) != before
    lab.host.guestnet("destroy", "--yes")
    assert state(lab.host) == before
    assert "Nothing to do" in lab.host.guestnet("destroy", "--yes").stdout
