"""The SSH session that apply is run from: when the change touches it, it undoes itself, or says what to say."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.host import GUESTNET
from lab.process import wait_for
from tests.live.conftest import FILE, MAC, SEED, apply, elements
from tests.live.snapshot import snapshot
from tests.live.test_confirm import PENDING, wait_undone

pytestmark = pytest.mark.lab

SESSION = {"SSH_CONNECTION": "192.168.84.10 51234 192.168.84.1 22"}  # from a guest
ELSEWHERE = {"SSH_CONNECTION": "203.0.113.9 51234 203.0.113.2 22"}
OTHER = SEED.replace("mode: nat", "mode: nat\n    mtu: 1400")
WARNING = "warning: this SSH session is at stake: network lab is restarted or removed, and the session comes through it"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        apply(lab.host, SEED)
        lab.host.write(FILE, OTHER)
        yield lab


def test_without_a_terminal_it_must_be_said(lab: Lab) -> None:
    host = lab.host
    before = snapshot(host)
    assert WARNING in host.run([GUESTNET, "plan"], env=SESSION).stdout
    assert json.loads(host.run([GUESTNET, "plan", "--format", "json"], env=SESSION).stdout)["session_at_stake"]
    refused = host.run([GUESTNET, "apply", "--yes"], env=SESSION, check=False)
    assert refused.returncode == 1
    assert "the SSH session that this is applied from is at stake; nothing was touched" in refused.stderr
    assert "say --confirm 60" in refused.stderr
    assert "or --no-confirm" in refused.stderr
    assert snapshot(host) == before
    assert WARNING not in host.run([GUESTNET, "plan"], env=ELSEWHERE).stdout
    host.run([GUESTNET, "apply", "--yes", "--confirm", "3"], env=SESSION)
    wait_undone(host, before)
    host.run([GUESTNET, "apply", "--yes", "--no-confirm"], env=SESSION)
    assert not host.exists(PENDING)
    host.write(FILE, SEED)
    host.run([GUESTNET, "apply", "--yes"], env=ELSEWHERE)
    assert not host.exists(PENDING)
    both = host.guestnet("apply", "--confirm", "3", "--no-confirm", check=False)
    assert both.returncode == 64
    assert "one of them" in both.stderr


def test_at_a_terminal_it_undoes_itself(lab: Lab) -> None:
    ours, theirs = pty.openpty()
    started = lab.host.popen([GUESTNET, "apply"], stdin=theirs, stdout=theirs, stderr=theirs, env=SESSION)
    os.close(theirs)
    said = ""
    while "[y/N]" not in said:
        said += os.read(ours, 4096).decode()
    assert WARNING in said.replace("\r\n", " ").replace("  ", " ")
    assert "so it undoes itself after 60 s, unless: guestnet confirm" in said
    os.write(ours, b"y\n")
    started.wait(timeout=30)
    os.close(ours)
    assert started.returncode == 0
    assert json.loads(lab.host.read(PENDING))["seconds"] == 60
    lab.host.guestnet("confirm")
    assert not lab.host.exists(PENDING)


FOREIGN = """
<network><name>old</name><forward mode='nat'/><bridge name='virbr77'/>
<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.2' end='192.168.77.9'/></dhcp></ip>
</network>
"""


def test_the_verbs_that_do_not_undo_themselves(lab: Lab) -> None:
    """Each changes the table or the network that the session comes from; --no-confirm has it done."""
    host = lab.host
    host.guestnet("apply", "--yes")  # OTHER, to go back from
    host.define_network(FOREIGN)
    host.libvirtd.restart()
    host.define_guest("web1", "lab", MAC, memory=16)
    host.virsh("start", "web1", "--paused")
    wait_for("the forward", lambda: "4080" in elements(host))
    add = ["forward", "add", "web1", "4999:22"]
    before = snapshot(host), host.read(FILE)
    for verb in (
        add,
        ["forward", "remove", "web1", "4080"],
        ["rollback"],
        ["destroy"],
        ["adopt", "old"],
        ["release", "lab"],
    ):
        refused = host.run([GUESTNET, *verb, "--yes"], env=SESSION, check=False)
        assert refused.returncode == 1, verb
        assert "warning: this SSH session is at stake: " in refused.stdout, verb
        assert "the SSH session that this is done from is at stake; nothing was touched" in refused.stderr, verb
        assert "or say --no-confirm" in refused.stderr
    unasked = host.run([GUESTNET, *add], env=SESSION, check=False)
    assert "there is no terminal to ask at" in unasked.stderr
    assert (snapshot(host), host.read(FILE)) == before
    host.run([GUESTNET, *add, "--no-confirm"], env=SESSION)
    assert "4999" in elements(host)
    host.run([GUESTNET, "rollback", "--yes"], env=ELSEWHERE)
    assert "4999" not in elements(host)
    host.run([GUESTNET, "adopt", "old", "--yes", "--no-confirm"], env=SESSION)
    host.run([GUESTNET, "release", "old", "--yes", "--no-confirm"], env=SESSION)
    host.run([GUESTNET, "destroy", "--yes", "--no-confirm"], env=SESSION)
    assert not host.exists("/var/lib/guestnet")


def test_what_waits_is_gone_back_from_all_the_same(lab: Lab) -> None:
    """The countdown would do it."""
    before = snapshot(lab.host)
    lab.host.run([GUESTNET, "apply", "--yes", "--confirm", "30"], env=SESSION)
    lab.host.run([GUESTNET, "rollback"], env=SESSION)
    wait_undone(lab.host, before, within=3)
