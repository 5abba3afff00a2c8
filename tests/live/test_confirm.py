"""`apply --confirm`: it undoes itself, whoever was killed meanwhile, unless `guestnet confirm` comes in time."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from lab.process import wait_for
from lab.systemd import Systemd
from tests.live.conftest import FILE, SEED, apply
from tests.live.snapshot import snapshot

pytestmark = pytest.mark.lab

PENDING = "/var/lib/guestnet/confirm.json"
UNIT = "guestnet-confirm.service"
OTHER = SEED.replace("4023:22", "4999:22")
assert OTHER != SEED


@pytest.fixture(scope="module")
def one() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        yield lab


@pytest.fixture
def lab(one: Lab) -> Lab:
    """As the seed example says, and a change to be made."""
    wait_for("the countdown of the test before", lambda: not countdown(one.host))
    apply(one.host, SEED)
    one.host.write(FILE, OTHER)
    return one


def countdown(host: Host) -> int:
    """The process that counts down, 0 when there is none."""
    found = host.run(["pgrep", "-f", "guestnet.faces.countdown"], check=False).stdout.split()
    return int(found[0]) if found else 0


def wait_undone(host: Host, before: str, within: float = 30) -> None:
    wait_for("the undoing", lambda: not host.exists(PENDING), timeout=within)
    wait_for("the end of the countdown", lambda: not countdown(host))  # its unit goes last
    assert snapshot(host) == before


def test_confirmed(lab: Lab) -> None:
    host = lab.host
    assert "nothing waits for confirmation" in host.guestnet("confirm", check=False).stderr
    done = host.guestnet("apply", "--yes", "--confirm", "20")
    assert "it undoes itself after 20 s, unless, from a new session: guestnet confirm" in done.stderr
    assert countdown(host)
    for verb in (
        ["apply", "--yes"],
        ["destroy", "--yes"],
        ["forward", "add", "web1", "5000:22"],
        ["prefer-ipv6", "web1"],
        ["prefer-ipv6", "web1", "--undo"],
        ["setup"],
        ["setup", "--remove"],
    ):
        refused = host.guestnet(*verb, check=False)
        assert refused.returncode == 1
        assert "waits for its confirmation" in refused.stderr
        assert "guestnet confirm keeps it, guestnet rollback undoes it" in refused.stderr
    assert "waits for its confirmation" in host.guestnet("plan").stderr
    after = snapshot(host)
    assert host.guestnet("confirm").stderr == "confirmed: what was applied stays\n"
    again = host.guestnet("confirm")
    assert "it was confirmed already, at " in again.stderr
    wait_for("the end of the countdown", lambda: not countdown(host))
    assert snapshot(host) == after
    assert "Nothing to do" in host.guestnet("apply", "--yes", "--confirm", "20").stdout
    assert not host.exists(PENDING)
    host.guestnet("rollback", "--yes")


def test_not_confirmed(lab: Lab) -> None:
    host = lab.host
    before = snapshot(host)
    host.guestnet("apply", "--yes", "--confirm", "8")
    applied = time.monotonic()
    assert snapshot(host) != before
    wait_undone(host, before)
    assert time.monotonic() - applied > 7, "not before its time"
    late = host.guestnet("confirm", check=False)
    assert late.returncode == 1
    assert "too late: it was undone at " in late.stderr
    assert "was itself a rollback" in host.guestnet("rollback", "--yes", check=False).stderr
    assert "nobody confirmed the apply of" in host.read("/var/log/guestnet/countdown.log")


def test_what_the_undoing_spares_is_named(lab: Lab) -> None:
    """And the rest is undone, though all that was left of it is what guestnet keeps for itself."""
    host = lab.host
    host.write(FILE, SEED.replace("mode: nat", "mode: nat\n    mtu: 1400"))
    host.guestnet("apply", "--yes", "--confirm", "4")
    xml = host.virsh("net-dumpxml", "--inactive", "lab").stdout
    assert "1400" in xml
    host.define_network(xml.replace("1400", "1300"), start=False)
    wait_for("the undoing", lambda: not host.exists(PENDING), timeout=30)
    wait_for("the end of the countdown", lambda: not countdown(host))
    spared = "undone, but for what somebody else has changed since: network lab"
    assert f"it is {spared}" in host.read("/var/log/guestnet/countdown.log")
    assert "1300" in host.virsh("net-dumpxml", "--inactive", "lab").stdout
    assert host.read("/var/lib/guestnet/applied.yaml") == SEED
    late = host.guestnet("confirm", check=False).stderr
    assert "too late: it was undone at " in late
    assert spared.partition(", ")[2] in late
    host.write(FILE, SEED)
    assert "network lab" in host.guestnet("plan").stdout


def test_rollback_while_it_waits(lab: Lab) -> None:
    """Without a question, whose answer might not come."""
    before = snapshot(lab.host)
    lab.host.guestnet("apply", "--yes", "--confirm", "30")
    assert "waits for its confirmation" in lab.host.guestnet("status").stdout
    lab.host.guestnet("rollback")
    wait_undone(lab.host, before, within=3)


def test_setup_stays_while_an_apply_of_nothing_waits(lab: Lab) -> None:
    """No network is left that would say so; but the undoing brings them back, and they need the hooks."""
    host = lab.host
    before = snapshot(host)
    host.write(FILE, "networks: {}\n")
    host.guestnet("apply", "--yes", "--confirm", "30")
    refused = host.guestnet("setup", "--remove", check=False)
    assert refused.returncode == 1
    assert "waits for its confirmation" in refused.stderr
    host.guestnet("rollback")
    wait_undone(host, before, within=3)


def test_a_first_apply(lab: Lab) -> None:
    lab.host.guestnet("destroy", "--yes")
    before = snapshot(lab.host)
    lab.host.guestnet("apply", "--yes", "--confirm", "2")
    wait_undone(lab.host, before)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3, 1.0])
def test_guestnet_is_killed(lab: Lab, after: float) -> None:
    """At any moment of the apply; and its terminal is gone, too."""
    host = lab.host
    host.write(FILE, OTHER + "  db: {network: lab}\n")
    before = snapshot(host)
    started = host.popen([GUESTNET, "apply", "--yes", "--confirm", "3"])
    wait_for("the apply to begin: before this nothing is done yet", lambda: countdown(host))
    time.sleep(after)
    if started.poll() is None:
        host.send_signal(started, signal.SIGKILL)
    started.communicate(timeout=20)
    wait_undone(host, before)
    assert not host.exists("/var/lib/guestnet/journal")


def test_a_terminal_that_goes(lab: Lab) -> None:
    """Its SIGHUP ends an apply that goes on, which undoes itself at once; one that waits is not disturbed."""
    host = lab.host
    before = snapshot(host)
    host.run(["script", "-qec", f"{GUESTNET} apply --yes --confirm 3", "/dev/null"], timeout=60)
    assert snapshot(host) != before
    wait_undone(host, before)


def test_interrupted_in_the_middle(lab: Lab) -> None:
    """It is taken back at once; nothing waits then."""
    host = lab.host
    before = snapshot(host)
    started = host.popen([GUESTNET, "apply", "--yes", "--confirm", "30"])
    wait_for("the first step", lambda: host.exists("/var/lib/guestnet/journal") or started.poll() is not None)
    host.send_signal(started, signal.SIGINT)
    _, said = started.communicate(timeout=20)
    assert started.returncode == 130, said
    assert not host.exists(PENDING)
    assert snapshot(host) == before


def test_a_terminal_that_goes_under_nohup(lab: Lab) -> None:
    """Whoever has said that a hang-up is to be ignored wants the apply to go on."""
    host = lab.host
    started = host.popen(["nohup", GUESTNET, "apply", "--yes"])
    wait_for("the first step", lambda: host.exists("/var/lib/guestnet/journal") or started.poll() is not None)
    assert started.poll() is None, "it was too fast for this test"
    host.send_signal(started, signal.SIGHUP)
    _, said = started.communicate(timeout=30)
    assert started.returncode == 0, said
    assert "done: the host is as the file says" in said


def test_a_log_that_cannot_be_written(lab: Lab) -> None:
    """The disk is full, and what the countdown has to say, that libvirt does not answer, goes nowhere."""
    host = lab.host
    before = snapshot(host)
    host.shell("mkdir -p /var/log/guestnet && mount -t tmpfs -o size=4k tmpfs /var/log/guestnet")
    host.shell("head -c 4096 /dev/zero > /var/log/guestnet/countdown.log")
    try:
        host.guestnet("apply", "--yes", "--confirm", "3")
        host.libvirtd.stop()
        time.sleep(4)
        assert countdown(host)
        host.libvirtd.start()
        wait_undone(host, before)
        assert not host.read("/var/log/guestnet/countdown.log").strip("\0"), "it could be written"
    finally:
        host.shell("umount /var/log/guestnet")


def test_the_countdown_itself_is_killed(lab: Lab) -> None:
    """Without systemd nobody starts it again, but the next guestnet does, or does its work."""
    host = lab.host
    before = snapshot(host)
    host.guestnet("apply", "--yes", "--confirm", "5")
    host.kill(countdown(host))
    assert "waits for its confirmation" in host.guestnet("apply", "--yes", check=False).stderr
    assert countdown(host)
    host.kill(countdown(host))
    time.sleep(5)
    for said in (host.guestnet("plan").stderr, host.guestnet("status").stdout):
        assert "its time is over, and it is being undone" in said
        assert "in /var/log/guestnet/countdown.log; if it does not end: guestnet rollback" in said
        assert "guestnet confirm" not in said
    late = host.guestnet("confirm", check=False)
    assert "too late: the time is over, and it is being undone" in late.stderr
    wait_undone(host, before)
    host.guestnet("apply", "--yes", "--confirm", "1")
    host.kill(countdown(host))
    time.sleep(1)
    done = host.guestnet("apply", "--yes")
    assert "an earlier apply was not confirmed in time; it has been undone" in done.stderr


def test_a_damaged_file(lab: Lab) -> None:
    """For how long it waits is lost: it waits as long as it would by default, from now on."""
    host = lab.host
    host.guestnet("apply", "--yes", "--confirm", "30")
    for text in ("", "{", "[]", '{"guestnet confirm": 2}', "\x00" * 64):
        host.write(PENDING, text)
        left = re.search("waits for its confirmation, another ([0-9]+) s", host.guestnet("plan").stderr)
        assert left is not None
        assert 40 < int(left[1]) <= 60
    assert "confirmed" in host.guestnet("confirm").stderr


def test_a_terminal_that_takes_nothing_any_more(lab: Lab) -> None:
    """As that of a session which the change has cut off: nobody reads, and nothing tells of it for hours."""
    host = lab.host
    host.write(FILE, OTHER + "".join(f"  g{n}: {{network: lab, mac: '52:54:00:00:01:{n:02x}'}}\n" for n in range(90)))
    before = snapshot(host)
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)  # a terminal takes some 64 KiB more before it is full
    started = host.popen([GUESTNET, "apply", "--yes", "--confirm", "3"], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    wait_for("the apply to begin", lambda: host.exists(PENDING))
    wait_undone(host, before, within=60)
    os.close(ours)
    started.wait(timeout=20)
    assert "Nothing to do" in apply(host, SEED)


def test_a_clock_that_jumps_and_another_boot(lab: Lab) -> None:
    """The deadline is on a clock that nobody sets; of another boot, it has passed."""
    host = lab.host
    before = snapshot(host)
    host.guestnet("apply", "--yes", "--confirm", "30")
    data = json.loads(host.read(PENDING))
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 < data["until"] - now < 30
    assert data["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    host.write(PENDING, json.dumps({**data, "boot": "another"}))
    wait_undone(host, before)


def test_systemd() -> None:
    with Lab() as lab:
        under_systemd(lab.host)


def under_systemd(host: Host) -> None:
    apply(host, SEED)
    host.write(FILE, OTHER)
    with Systemd(host) as systemd:
        systemd.guestnet("apply", "--yes")  # the unit comes
        host.write(FILE, SEED)
        before = snapshot(host)
        systemd.guestnet("apply", "--yes", "--confirm", "20")
        assert systemd.state(UNIT) == "active"
        # Killed, it is started again.
        pid = systemd.systemctl("show", UNIT, "--property=MainPID", "--value").stdout.strip()
        systemd.run(["kill", "-9", pid])
        wait_for("the unit again", lambda: countdown(host) and systemd.state(UNIT) == "active", timeout=15)
        systemd.guestnet("confirm")
        wait_for("the end of the unit", lambda: systemd.state(UNIT) == "inactive")
        assert not host.exists(f"/etc/systemd/system/{UNIT}")
        host.write(FILE, OTHER)
        before = snapshot(host)
        systemd.guestnet("apply", "--yes", "--confirm", "3")
        wait_undone(host, before)
        wait_for("the end of the unit", lambda: systemd.state(UNIT) == "inactive")
        assert "not-found" in systemd.systemctl("show", UNIT, "--property=LoadState").stdout
        # The power goes while it waits.
        systemd.guestnet("apply", "--yes", "--confirm", "3600")
        assert host.exists(f"/etc/systemd/system/{UNIT}")
    host.reboot()
    # A boot's id is the machine's own, and that was not booted.
    host.write(PENDING, json.dumps({**json.loads(host.read(PENDING)), "boot": "another"}))
    with Systemd(host) as systemd:
        wait_for("the undoing", lambda: not host.exists(PENDING), timeout=40)
        wait_for("the end of the unit", lambda: not host.exists(f"/etc/systemd/system/{UNIT}"))
        systemd.guestnet("apply", "--yes", "-f", "/var/lib/guestnet/applied.yaml")
        assert snapshot(host) == before


def test_half_an_apply_is_not_confirmed(lab: Lab) -> None:
    """It was killed in its middle: nothing whole is there to keep."""
    host = lab.host
    before = snapshot(host)
    host.write(FILE, OTHER + "  another: {network: lab}\n")
    started = host.popen([GUESTNET, "apply", "--yes", "--confirm", "60"])
    wait_for("the first step", lambda: host.exists("/var/lib/guestnet/journal") or started.poll() is not None)
    host.send_signal(started, signal.SIGKILL)
    started.communicate(timeout=20)
    assert host.exists("/var/lib/guestnet/journal"), "it was killed too late for this test"
    done = host.guestnet("confirm", check=False)
    assert done.returncode == 1
    assert "was cut off before it was done" in done.stderr
    host.guestnet("rollback", "--yes")
    assert snapshot(host) == before
    assert not host.exists(PENDING)
