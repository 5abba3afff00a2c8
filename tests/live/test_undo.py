"""A failing step undoes the earlier ones; a killed apply is taken back by the next; destroy leaves nothing."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.errors import WaitError
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


def test_told_to_end_twice(lab: Lab) -> None:
    """The second Ctrl-C comes while the first is being obeyed."""
    lab.host.guestnet("plan")
    before = state(lab.host)
    started = begun(lab, 0.05)
    lab.host.send_signal(started, signal.SIGTERM)
    for _ in range(20):
        time.sleep(0.02)
        if started.poll() is None:
            with contextlib.suppress(WaitError):  # it has just ended
                lab.host.send_signal(started, signal.SIGTERM)
    _, said = started.communicate(timeout=20)
    assert "The host is as it was before." in said
    assert state(lab.host) == before


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


# Runs guestnet, and kills it with -9 before or after the n-th step of its apply.
KILLED_AT = """
import os, sys
count, number, when = 0, int(sys.argv[1]), sys.argv[2]
sys.argv = ["guestnet", "apply", "--yes"]
import guestnet.act.apply as act
really = act.put
def put(libvirt, change):
    global count
    count += 1
    if (count, when) == (number, "before"): os.kill(os.getpid(), 9)
    really(libvirt, change)
    if (count, when) == (number, "after"): os.kill(os.getpid(), 9)
act.put = put
from guestnet.faces.cli import main
main()
"""


def test_kill_9_at_every_step(lab: Lab) -> None:
    """Before a step, or after it; the next apply takes back what was begun, and goes on to the same end."""
    lab.host.guestnet("plan")
    python = GUESTNET.parent / "python"
    number = 0
    while True:
        number += 1
        when = ("before", "after")[number % 2]
        killed = lab.host.run([python, "-c", KILLED_AT, str(number), when], check=False)
        if killed.returncode == 0:
            break
        assert lab.host.exists("/var/lib/guestnet/journal")
        done = lab.host.guestnet("apply", "--yes")
        assert "cut off" in done.stderr
        assert not lab.host.exists("/var/lib/guestnet/journal")
        assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
        lab.host.guestnet("destroy", "--yes")
    assert number > 10, "there are more steps than that"


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


def test_destroy_and_apply_after_things_were_removed_by_hand(lab: Lab) -> None:
    lab.host.guestnet("plan")
    before = state(lab.host)
    by_hand = [
        "virsh net-undefine lab",
        "virsh net-destroy lab; virsh net-undefine lab",
        "nft delete table inet guestnet; rm -r /var/lib/guestnet/compiled",
        "rm -r /etc/libvirt/hooks/qemu.d /var/lib/libvirt/dnsmasq/guestnet-lab; iptables -F FORWARD",
        "nft add element inet guestnet any4 '{ tcp . 9 comment \"by hand\" : 192.168.84.9 . 9 }'",
        "chmod 700 /var/lib/libvirt/dnsmasq/guestnet-lab; echo 0 > /proc/sys/net/ipv4/ip_forward",
    ]
    for script in by_hand:
        apply(lab.host)
        lab.host.shell(script)
        assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 2, f"drift: {script}"
        apply(lab.host)
        assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0, script
        lab.host.shell(script)
        lab.host.guestnet("destroy", "--yes")
        lab.host.shell("iptables -F FORWARD")
        assert state(lab.host) == before, script


def test_destroy_leaves_a_table_of_somebody_else(lab: Lab) -> None:
    lab.host.run(["nft", "add", "table", "inet", "guestnet"])
    assert "Nothing to do" in lab.host.guestnet("destroy", "--yes").stdout
    assert "guestnet" in lab.host.run(["nft", "list", "tables"]).stdout
