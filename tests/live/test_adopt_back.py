"""Back from a network that was taken over, or given back: by rollback, by an undo, or after a kill in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from lab.process import wait_for
from tests.faults.inject import REPORT, Report
from tests.live.conftest import FILE
from tests.live.snapshot import snapshot

pytestmark = pytest.mark.lab

XML = """<network><name>old</name><forward mode='nat'/><bridge name='virbr7' stp='on' delay='0'/>
<dns><txt name='kept' value='as found'/></dns><ip address='192.168.77.1' netmask='255.255.255.0'>
<dhcp><range start='192.168.77.2' end='192.168.77.254'/></dhcp></ip></network>"""
OWN = """
networks:
  own: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: none}
guests: {}
"""
INJECT = Path(__file__).parent.parent / "faults" / "inject.py"
JOURNAL, PENDING = "/var/lib/guestnet/journal", "/var/lib/guestnet/confirm.json"


@pytest.fixture(scope="module")
def one() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        lab.host.define_network(XML)
        lab.host.define_guest("web1", "old", "52:54:00:12:34:56", memory=16)
        lab.host.virsh("start", "web1", "--paused")
        yield lab


@pytest.fixture
def host(one: Lab) -> Host:
    """`own` is applied, and `old` is somebody else's."""
    one.host.write(FILE, OWN)
    one.host.guestnet("apply", "--yes")
    assert "guestnet" not in stored(one.host)
    return one.host


@pytest.fixture
def adopted(host: Host) -> Iterator[Host]:
    """`old` was taken over; it is given back afterwards."""
    host.guestnet("adopt", "old", "--yes")
    yield host
    host.guestnet("release", "old", "--yes")


def stored(host: Host) -> str:
    return host.virsh("net-dumpxml", "old", "--inactive").stdout


def process(host: Host) -> str:
    """dnsmasq's, which tells a restart."""
    return host.run(["cat", "/run/libvirt/network/old.pid"]).stdout


def state(host: Host) -> str:
    """The host, what is plugged in where, and the file."""
    tap = host.shell("for tap in /sys/class/net/vnet*; do readlink $tap/master; done").stdout
    return f"{snapshot(host)}\n{tap}\n{host.read(FILE)}"


def nothing_is_stuck(host: Host) -> None:
    assert not host.exists(JOURNAL)
    assert host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0


def effects(host: Host, *verb: str) -> list[str]:
    """What the verb does, one after the other; it is done then."""
    host.run([GUESTNET.parent / "python", INJECT, json.dumps({}), *verb, "--yes"])
    return [f"{effect.kind} {effect.what}" for effect in Report.read(host.read(str(REPORT))).effects]


def broken(host: Host, at: int, do: str, *verb: str) -> int:
    order = json.dumps({"at": at, "do": do})
    return host.run([GUESTNET.parent / "python", INJECT, order, *verb, "--yes"], check=False).returncode


def behind_the_definition(found: list[str]) -> int:
    """The first effect after `old` was defined anew; `own` is not, in any of these."""
    return found.index("libvirt networkDefineXML") + 2


def test_back_from_an_adoption(host: Host) -> None:
    before, pid = state(host), process(host)
    host.guestnet("adopt", "old", "--yes")
    assert "guestnet:network" in stored(host)
    done = host.guestnet("rollback", "--yes")
    assert "says again what it said before" in done.stderr
    assert state(host) == before
    assert process(host) == pid, "no guest notices"
    nothing_is_stuck(host)


def test_back_from_an_adoption_that_was_restarted(host: Host) -> None:
    before = state(host)
    host.guestnet("adopt", "old", "--yes")
    host.guestnet("apply", "--restart", "--yes")
    assert "dhcp-hostsdir" in host.virsh("net-dumpxml", "old").stdout
    done = host.guestnet("rollback", "--yes")
    assert "restart: web1 without network for up to 1 s" in done.stdout, "it is told what that costs"
    assert state(host) == before
    nothing_is_stuck(host)


def test_an_adoption_that_was_killed(host: Host) -> None:
    before = state(host)
    found = effects(host, "adopt", "old")
    host.guestnet("rollback", "--yes")
    assert broken(host, behind_the_definition(found), "kill", "adopt", "old") == -9
    assert "guestnet:network" in stored(host)
    host.write(FILE, OWN)  # a kill leaves it as it was written
    host.guestnet("apply", "--yes")
    assert state(host) == before
    nothing_is_stuck(host)


def test_back_from_the_release_of_one_that_guestnet_made(host: Host) -> None:
    before = state(host)
    host.guestnet("release", "own", "--yes")
    assert "guestnet:network" not in host.virsh("net-dumpxml", "own", "--inactive").stdout
    host.guestnet("rollback", "--yes")
    assert state(host) == before
    nothing_is_stuck(host)


def test_back_from_a_release(adopted: Host) -> None:
    before, pid = state(adopted), process(adopted)
    adopted.guestnet("release", "old", "--yes")
    assert "guestnet" not in stored(adopted)
    adopted.guestnet("rollback", "--yes")
    assert state(adopted) == before
    assert process(adopted) == pid
    nothing_is_stuck(adopted)


def test_what_somebody_changed_after_a_release_is_theirs(adopted: Host) -> None:
    text = adopted.read(FILE)
    adopted.guestnet("release", "old", "--yes")
    given = stored(adopted)
    adopted.define_network(given.replace("as found", "another"), start=False)
    refused = adopted.guestnet("rollback", "--yes", check=False)
    assert refused.returncode == 1
    assert "somebody else has changed since: network old" in refused.stderr
    assert "another" in stored(adopted)
    adopted.define_network(given, start=False)
    adopted.guestnet("rollback", "--yes")
    assert adopted.read(FILE) == text


@pytest.mark.parametrize("then", ["rollback", "apply"])
def test_a_release_that_was_killed(adopted: Host, then: str) -> None:
    before, text = state(adopted), adopted.read(FILE)
    found = effects(adopted, "release", "old")
    adopted.guestnet("rollback", "--yes")
    assert broken(adopted, behind_the_definition(found), "kill", "release", "old") == -9
    assert "guestnet" not in stored(adopted)
    adopted.write(FILE, text)
    adopted.guestnet(then, "--yes")
    assert state(adopted) == before
    nothing_is_stuck(adopted)


def test_a_release_whose_journal_could_not_be_ended(adopted: Host) -> None:
    before = state(adopted)
    found = effects(adopted, "release", "old")
    adopted.guestnet("rollback", "--yes")
    last = max(number for number, effect in enumerate(found, 1) if effect == "file write")
    assert broken(adopted, last, "ENOSPC", "release", "old") == 1
    assert state(adopted) == before
    nothing_is_stuck(adopted)


def test_a_killed_release_of_what_is_somebody_elses_by_now(adopted: Host) -> None:
    text = adopted.read(FILE)
    found = effects(adopted, "release", "old")
    adopted.guestnet("rollback", "--yes")
    broken(adopted, behind_the_definition(found), "kill", "release", "old")
    given = stored(adopted)
    adopted.define_network(given.replace("as found", "another"), start=False)
    refused = adopted.guestnet("apply", "--yes", check=False)
    assert "what it had begun has been taken back, in /etc/guestnet/guestnet.yaml too" in refused.stderr
    assert "network old exists in libvirt and is not guestnet's" in refused.stderr
    assert "another" in stored(adopted)
    assert "guestnet" not in stored(adopted)
    adopted.write(FILE, OWN)
    adopted.guestnet("apply", "--yes")
    assert "another" in stored(adopted)
    nothing_is_stuck(adopted)
    adopted.define_network(given, start=False)
    adopted.guestnet("adopt", "old", "--yes")
    assert adopted.read(FILE) == text


def test_out_of_the_file_and_not_confirmed(adopted: Host) -> None:
    before, text = snapshot(adopted), adopted.read(FILE)
    adopted.write(FILE, OWN)
    adopted.guestnet("apply", "--yes", "--confirm", "2")
    assert "guestnet" not in stored(adopted)
    wait_for("the undoing", lambda: not adopted.exists(PENDING), timeout=30)
    assert snapshot(adopted) == before
    adopted.write(FILE, text)
    nothing_is_stuck(adopted)


@pytest.mark.parametrize("then", ["rollback", "destroy"])
def test_a_destroy_that_was_killed(host: Host, then: str) -> None:
    clean = stored(host)
    host.guestnet("adopt", "old", "--yes")
    before, text = state(host), host.read(FILE)
    found = effects(host, "destroy")
    host.write(FILE, OWN)
    host.guestnet("apply", "--yes")
    host.guestnet("adopt", "old", "--yes")
    assert state(host) == before
    assert host.read(FILE) == text
    assert broken(host, behind_the_definition(found), "kill", "destroy") == -9
    assert "guestnet" not in stored(host)
    host.guestnet(then, "--yes")
    if then == "destroy":
        assert not host.exists("/var/lib/guestnet")
    else:
        assert state(host) == before
        nothing_is_stuck(host)
        host.guestnet("destroy", "--yes")
    assert stored(host) == clean
