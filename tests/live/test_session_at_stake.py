"""The SSH session that apply is run from: when the change touches it, it undoes itself, or says what to say."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.host import GUESTNET
from tests.live.conftest import FILE, SEED, apply
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
