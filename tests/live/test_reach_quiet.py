"""`reach --probe` of six networks as they are written without any care for it (STP is on), and beside guests that are
talking: it says what it does, finds what is predicted, and no guest notices."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab import Lab, flow
from lab.fake import FakeGuest, Static
from lab.namespace import Namespace
from lab.process import wait_for
from tests.live.conftest import apply, elements
from tests.live.test_reach import FILE as QUICK
from tests.live.test_reach import UPSTREAM

pytestmark = pytest.mark.lab

FORWARDS = 'ipv4: 10.66.1.10, ipv6: "::10", forwards: ["4023:22", "4024:2400/tcp+udp"]'
FILE = QUICK.replace("stp: false, ", "").replace("    stp: false\n", "").replace('forwards: ["4023:22"]', FORWARDS)
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or "/usr/bin/python3"
SEEN = 60  # messages at least: 6 s of a measurement
PROBED = "plugging two ends each into cell, dmz, lab, plain, shut, tenants"


class World(NamedTuple):
    lab: Lab
    web1: FakeGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    assert "stp" not in FILE
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.inet.shell(UPSTREAM)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", "52:54:00:12:34:56", memory=16)
        lab.host.virsh("start", "web1", "--paused")
        wait_for("the forwards", lambda: "4024" in elements(lab.host))
        static = Static("10.66.1.10/24", "fd00:66:1::10/64", "10.66.1.1", "fd00:66:1::1")
        web1 = lab.host.fake_guest("web1", "virbr1", mac="52:54:00:99:99:99", plug=static)
        web1.wait_addresses()
        yield World(lab, web1)


def test_six_networks_with_stp(world: World) -> None:
    host = world.lab.host
    assert host.run(["cat", *(f"/sys/class/net/virbr{i}/bridge/stp_state" for i in range(1, 7))]).stdout == "1\n" * 6
    begun = time.monotonic()
    done = host.guestnet("--format", "json", "reach", "--probe", check=False)
    print(f"reach --probe of six networks with STP: {time.monotonic() - begun:.1f} s")
    found = json.loads(done.stdout)["cells"]
    assert [one for one in found if one["as_predicted"] is not True] == []
    assert done.returncode == 0
    assert len(found) == 2 * (6 * 5 + 6 * 5)
    told = done.stderr.splitlines()
    assert told[:2] == [PROBED, "waiting 4 s until the bridges (STP) pass what the new ends send"]
    assert told[2].endswith(" probes")
    assert int(told[2].split()[0]) > len(found)


def test_guests_that_talk_notice_nothing(world: World) -> None:
    """Out to the internet, and in by a forward; both families, a connection and datagrams each."""
    lab, web1 = world
    with ExitStack() as todo:
        start(lab.inet, todo, "serve", 2401, "203.0.113.1", "2001:db8:1::1")
        start(web1, todo, "serve", 2400, "10.66.1.10", "fd00:66:1::10")
        flows = {
            "out v4": start(web1, todo, "203.0.113.1", 2401),
            "out v6": start(web1, todo, "2001:db8:1::1", 2401),
            "in v4": start(lab.inet, todo, "203.0.113.2", 4024),
            "in v6": start(lab.inet, todo, "2001:db8:1::2", 4024),
        }
        lab.host.guestnet("reach", "--probe")
        for words in (("internet", "web1", "4024"), ("web1", "internet")):
            lab.host.guestnet("why", *words)
        told = {name: heard(one) for name, one in flows.items()}
    assert min(one.pop("sent", 0) for one in told.values()) > SEEN, told
    assert told == {name: {"tcp": "whole", "udp lost": []} for name in flows}


def start(where: Namespace, todo: ExitStack, *words: str | int) -> subprocess.Popen[str]:
    text = Path(flow.__file__).read_text()
    argv = [PYTHON, "-I", "-u", "-c", text, *map(str, words)]
    started = where.popen(argv, stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
    todo.callback(started.kill)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n", started.stdout.read()
    return started


def heard(flow: subprocess.Popen[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(flow.communicate(timeout=20)[0])
    found.pop("began", None)
    return found
