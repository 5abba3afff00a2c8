"""One guestnet at a time, the plan that was reviewed and no other, and what somebody else changes meanwhile."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.host import GUESTNET
from lab.process import wait_for
from tests.live.conftest import FILE, SEED, apply
from tests.live.snapshot import snapshot

pytestmark = pytest.mark.lab

OTHER = SEED.replace("mode: nat", "mode: nat\n    mtu: 1400")
assert OTHER != SEED


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        apply(lab.host, SEED)
        lab.host.write(FILE, OTHER)
        yield lab


def asked(lab: Lab, *args: str) -> tuple[subprocess.Popen[str], int]:
    """guestnet at a terminal, that has asked its question; and the terminal."""
    ours, theirs = pty.openpty()
    started = lab.host.popen([GUESTNET, *args], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = ""
    while "[y/N]" not in said:
        said += os.read(ours, 4096).decode()
    return started, ours


def answered(started: subprocess.Popen[str], terminal: int, answer: str = "y\n") -> str:
    os.write(terminal, answer.encode())
    said = ""
    try:
        while chunk := os.read(terminal, 4096).decode(errors="replace"):
            said += chunk
    except OSError:  # it has ended
        pass
    started.wait(timeout=20)
    os.close(terminal)
    return said


# Has the host until its input ends.
HOLDS = """
import sys
from guestnet.host.lock import apply_lock
with apply_lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(lab: Lab) -> subprocess.Popen[str]:
    started = lab.host.popen([GUESTNET.parent / "python", "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == "held\n"
    return started


def test_a_second_one_is_told_who_holds_the_host(lab: Lab) -> None:
    first = holding(lab)
    pid = lab.host.read("/run/guestnet/apply.lock").strip()
    for verb in (["apply", "--yes"], ["rollback", "--yes"], ["confirm"], ["destroy", "--yes"], ["setup"]):
        done = lab.host.guestnet(*verb, check=False)
        assert done.returncode == 1
        assert f"another guestnet (process {pid}, " in done.stderr
        assert f", since {time.strftime('%H:%M', time.localtime())}" in (
            done.stderr.replace(time.strftime("%H:%M", time.localtime(time.time() - 60)), time.strftime("%H:%M"))
        )
        assert "is changing this host" in done.stderr
        assert "wait until it is done" in done.stderr
    first.communicate(timeout=10)
    apply(lab.host)


def test_a_confirmation_waits_for_who_holds_the_host(lab: Lab) -> None:
    host = lab.host
    host.guestnet("apply", "--yes", "--confirm", "20")
    after = snapshot(host)
    first = holding(lab)
    second = host.popen([GUESTNET, "confirm"])
    time.sleep(2)
    assert second.poll() is None
    first.communicate(timeout=10)
    _, said = second.communicate(timeout=10)
    assert second.returncode == 0, said
    assert "confirmed: what was applied stays" in said
    assert snapshot(host) == after


def test_a_question_keeps_nobody_from_the_host(lab: Lab) -> None:
    """As that of an SSH session which is dead. Its answer comes too late when the host is another by then."""
    host = lab.host
    started, terminal = asked(lab, "apply")
    host.write(FILE, OTHER.replace("1400", "1300"))
    host.guestnet("apply", "--yes", "--confirm", "30")
    said = answered(started, terminal)
    assert "waits for its confirmation" in said
    assert started.returncode == 1
    host.guestnet("confirm")
    started, terminal = asked(lab, "destroy")
    host.guestnet("destroy", "--yes")
    assert "file or host have changed since that was made" in answered(started, terminal)
    assert not host.exists("/run/guestnet")
    apply(host, SEED)


# An apply that has read the file, and does this before it has the host.
READ_BEFORE = """
import shlex, subprocess, sys
from guestnet.act import apply
changing = apply.changing
def later(*args, **named):
    if to_do:
        subprocess.run(to_do.pop(), check=True)
    return changing(*args, **named)
to_do = [shlex.split(sys.argv[1])]
apply.changing = later
sys.argv[1:] = sys.argv[2:]
from guestnet.faces.cli import main
main()
"""


def raced(lab: Lab, *between: str | Path) -> subprocess.CompletedProcess[str]:
    """An apply, and what is done behind its reading of the file."""
    words: list[str | Path] = [GUESTNET.parent / "python", "-c", READ_BEFORE, shlex.join(map(str, between))]
    return lab.host.run([*words, "apply", "--yes"], check=False)


def test_an_apply_keeps_a_forward_that_is_added_while_it_begins(lab: Lab) -> None:
    """What it applies is what the file says when its turn comes, not from before another guestnet's edit."""
    done = raced(lab, GUESTNET, "forward", "add", "web1", "4999:22", "--yes")
    assert done.returncode == 0, done.stderr
    assert "4999:22" in lab.host.read(FILE)
    assert "4999" in lab.host.read("/var/lib/guestnet/applied.yaml")
    assert "4999" in lab.host.read("/var/lib/guestnet/compiled/guests/web1")
    assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0


def test_a_file_that_is_wrong_when_its_turn_comes_is_refused(lab: Lab) -> None:
    before = snapshot(lab.host)
    lab.host.write("/run/wrong", "networks: 1\n")
    done = raced(lab, "cp", "/run/wrong", FILE)
    assert (done.returncode, f"{FILE}:1:" in done.stderr) == (1, True), done.stderr
    lab.host.write(FILE, OTHER)
    assert snapshot(lab.host) == before


def test_what_comes_by_a_pipe_is_read_once(lab: Lab) -> None:
    """There is nothing in it the second time, which would be a host without networks."""
    lab.host.guestnet("-f", "/dev/stdin", "apply", "--yes", input=OTHER)
    assert "<mtu size='1400'/>" in lab.host.virsh("net-dumpxml", "lab").stdout


def test_only_the_plan_that_was_reviewed(lab: Lab) -> None:
    reviewed = lab.host.guestnet("plan").stdout.rpartition("(plan ")[2].partition(")")[0]
    before = snapshot(lab.host)
    lab.host.shell("nft delete table inet guestnet")
    changed = snapshot(lab.host)
    assert changed != before
    done = lab.host.guestnet("apply", "--yes", "--checksum", reviewed, check=False)
    assert done.returncode == 1
    assert f"not {reviewed}: file or host have changed since that was made; nothing was touched" in done.stderr
    assert snapshot(lab.host) == changed
    now = lab.host.guestnet("plan").stdout.rpartition("(plan ")[2].partition(")")[0]
    assert now != reviewed
    lab.host.guestnet("apply", "--yes", "--checksum", now)


def test_a_first_apply_can_be_reviewed(lab: Lab) -> None:
    """What is drawn by chance is drawn the same."""
    lab.host.guestnet("destroy", "--yes")
    reviewed = lab.host.guestnet("plan").stdout.rpartition("(plan ")[2].partition(")")[0]
    lab.host.guestnet("apply", "--yes", "--checksum", reviewed)


def test_destroy_at_a_terminal(lab: Lab) -> None:
    """The plan compared after the answer is the same, though it gives sysctls back."""
    started, terminal = asked(lab, "destroy")
    said = answered(started, terminal)
    assert started.returncode == 0, said
    assert "done: nothing of guestnet is left" in said
    assert not lab.host.exists("/run/guestnet")


FOREIGN = """
<network><name>old</name><forward mode='nat'/><bridge name='virbr77'/>
<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.2' end='192.168.77.9'/></dhcp></ip>
</network>
"""


@pytest.mark.parametrize("verb", ["apply", "adopt old", "release lab", "forward add web1 4999:22", "destroy"])
def test_what_changes_while_the_question_is_read(lab: Lab, verb: str) -> None:
    lab.host.define_network(FOREIGN)
    said_before = lab.host.read(FILE)
    started, terminal = asked(lab, *verb.split())
    xml = lab.host.virsh("net-dumpxml", "--inactive", "lab").stdout
    lab.host.define_network(xml.replace("</network>", "<mtu size='1300'/></network>"), start=False)
    changed = snapshot(lab.host)
    said = answered(started, terminal)
    assert "file or host have changed since that was made" in said
    assert started.returncode == 1
    assert lab.host.read(FILE) == said_before
    assert snapshot(lab.host) == changed


# Runs guestnet, and changes the network by hand right before its step.
MEANWHILE = """
import subprocess, sys
sys.argv = ["guestnet", "apply", "--yes"]
import guestnet.act.apply as act
really = act.meanwhile.check
def check(libvirt, change):
    if change.key.kind == "network":
        subprocess.run(["virsh", "-c", "qemu:///system", "net-autostart", "lab", "--disable"], check=True)
    really(libvirt, change)
act.meanwhile.check = check
from guestnet.faces.cli import main
main()
"""


def test_what_changes_in_the_middle_of_an_apply(lab: Lab) -> None:
    before = snapshot(lab.host)
    done = lab.host.run([GUESTNET.parent / "python", "-c", MEANWHILE], check=False)
    assert done.returncode == 1, done
    assert "network lab was changed meanwhile by somebody else" in done.stderr
    assert "The host is as it was before." in done.stderr
    assert "Autostart:      no" in lab.host.virsh("net-info", "lab").stdout, "theirs is left as it is"
    lab.host.virsh("net-autostart", "lab")
    assert snapshot(lab.host) == before


def test_a_killed_one_holds_nothing(lab: Lab) -> None:
    started, terminal = asked(lab, "apply")
    lab.host.send_signal(started, signal.SIGKILL)
    started.wait(timeout=10)
    os.close(terminal)
    wait_for("its end", lambda: lab.host.run(["pgrep", "-f", "guestnet apply"], check=False).returncode)
    apply(lab.host)
