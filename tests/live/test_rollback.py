"""`guestnet rollback`: the host, not the file, as it was before the last apply, however that was made, and when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.host import GUESTNET
from lab.process import wait_for
from tests.live.conftest import FILE, MAC, SEED, apply, elements
from tests.live.snapshot import snapshot

pytestmark = pytest.mark.lab

APPLIED = "/var/lib/guestnet/applied.yaml"
JOURNAL, PENDING = "/var/lib/guestnet/journal", "/var/lib/guestnet/confirm.json"
# Other addresses, a second network, other forwards.
OTHER = """
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.86.1/24, ipv6: auto, host_access: services}
  cell: {mode: isolated, ipv4: auto, ipv6: auto}
guests:
  web1:
    network: lab
    mac: 52:54:00:12:34:56
    ipv4: 192.168.86.10
    forwards: ["4999:22"]
  db: {network: cell, mac: 52:54:00:12:34:57}
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)  # libvirt and iptables make their own chains at the first look
        lab.host.write(FILE, SEED)
        yield lab


def test_back_to_the_file_before(lab: Lab) -> None:
    apply(lab.host)
    before = snapshot(lab.host)
    apply(lab.host, OTHER)
    new = snapshot(lab.host)
    assert new != before
    assert "Nothing to do" in apply(lab.host), "which leaves the way back alone"
    apply(lab.host, OTHER + "# a comment\n")
    done = lab.host.guestnet("rollback", "--yes")
    assert "forward 4999/tcp -> 22" in done.stdout
    assert "network cell (" not in done.stdout, "it is no more"
    assert snapshot(lab.host) == before
    assert f"note: {FILE} is as you wrote it: the next apply would do it again" in done.stderr
    assert f"cp {APPLIED} {FILE}" in done.stderr
    assert lab.host.read(APPLIED) == SEED
    again = lab.host.guestnet("rollback", "--yes", check=False)
    assert again.returncode == 1
    assert "was itself a rollback (to go forward again: guestnet apply)" in again.stderr
    apply(lab.host, OTHER)
    assert snapshot(lab.host) == new, "the same addresses as the first time, too"


def test_back_to_nothing(lab: Lab) -> None:
    before = snapshot(lab.host)
    assert "nothing to go back from" in lab.host.guestnet("rollback", "--yes", check=False).stderr
    assert snapshot(lab.host) == before
    apply(lab.host)
    done = lab.host.guestnet("rollback", "--yes")
    assert snapshot(lab.host) == before
    assert "would do it again" in done.stderr
    assert not lab.host.exists("/var/lib/guestnet")


def test_what_an_older_version_applied_has_no_way_back(lab: Lab) -> None:
    """The first ones wrote none."""
    apply(lab.host)
    lab.host.shell("rm /var/lib/guestnet/rollback")
    before = snapshot(lab.host)
    done = lab.host.guestnet("rollback", "--yes", check=False)
    assert done.returncode == 1
    assert "there is no apply of this version to go back from (guestnet plan shows" in done.stderr
    assert snapshot(lab.host) == before


def test_what_setup_has_made_stays(lab: Lab) -> None:
    lab.host.guestnet("setup")
    before = snapshot(lab.host)
    apply(lab.host)
    lab.host.guestnet("rollback", "--yes")
    assert snapshot(lab.host) == before


def test_a_file_that_guestnet_has_edited_goes_back_too(lab: Lab) -> None:
    apply(lab.host)
    before = snapshot(lab.host)
    lab.host.guestnet("forward", "add", "web1", "4999:22")
    assert snapshot(lab.host) != before
    done = lab.host.guestnet("rollback", "--yes")
    assert snapshot(lab.host) == before
    assert lab.host.read(FILE) == SEED
    assert f"{FILE} says again what it said before" in done.stderr
    assert "Nothing to do" in apply(lab.host)


def test_mending_leaves_the_way_back(lab: Lab) -> None:
    apply(lab.host)
    before = snapshot(lab.host)
    apply(lab.host, OTHER)
    lab.host.shell("nft delete table inet guestnet; rm -r /var/lib/guestnet/compiled")
    apply(lab.host)
    lab.host.guestnet("rollback", "--yes")
    assert snapshot(lab.host) == before


def test_what_somebody_else_changed_is_not_overwritten(lab: Lab) -> None:
    apply(lab.host)
    before = snapshot(lab.host)
    apply(lab.host, OTHER)
    xml = lab.host.virsh("net-dumpxml", "--inactive", "lab").stdout
    lab.host.define_network(xml.replace("</network>", "<mtu size='1400'/></network>"), start=False)
    changed = snapshot(lab.host)
    done = lab.host.guestnet("rollback", "--yes", check=False)
    assert done.returncode == 1
    assert "somebody else has changed since: network lab" in done.stderr
    assert snapshot(lab.host) == changed
    apply(lab.host)
    lab.host.guestnet("rollback", "--yes")
    assert snapshot(lab.host) == before


def test_guests_that_came_and_went_meanwhile(lab: Lab) -> None:
    """Forwards are in force for guests that run now, not for those that ran then; no more for one that the apply had
    brought, which was off then, so that none of the forwards in force was changed by it."""
    apply(lab.host)
    lab.host.libvirtd.restart()
    guest = lab.host.define_guest("web1", "lab", MAC)
    apply(lab.host, SEED + '  late: {network: lab, forwards: ["7070:70"]}\n')
    guest.start()
    assert "4080" in elements(lab.host)
    late = lab.host.define_guest("late", "lab", "52:54:00:aa:bb:cc")
    late.start()
    assert lab.host.exists("/var/lib/libvirt/dnsmasq/guestnet-lab/late"), "written by the hook"
    assert "7070" in elements(lab.host)
    lab.host.guestnet("rollback", "--yes")
    assert "4080" in elements(lab.host)
    assert "7070" not in elements(lab.host)
    assert not lab.host.exists("/var/lib/libvirt/dnsmasq/guestnet-lab/late")
    assert "Nothing to do" in apply(lab.host, SEED)


# Runs guestnet, and kills it when all steps of its apply are done, before the journal is ended.
KILLED_AT_THE_END = """
import os, sys
import guestnet.act.apply as act
act._end = lambda *_, **__: os.kill(os.getpid(), 9)
sys.argv = ["guestnet", "apply", "--yes", *sys.argv[1:]]
from guestnet.faces.cli import main
main()
"""


@pytest.mark.parametrize("confirm", [False, True])
def test_guests_that_came_and_went_after_a_kill(lab: Lab, confirm: bool) -> None:
    """The journal says what was in force then, which is not what the guests that run by now need: nor was it opened
    then what one opens that the killed apply had brought."""
    host = lab.host
    apply(host)
    host.libvirtd.restart()
    for name, mac in (("web1", MAC), ("gone", "52:54:00:aa:bb:01"), ("late", "52:54:00:aa:bb:cc")):
        host.define_guest(name, "lab", mac, memory=16)
    apply(host, SEED + '  gone: {network: lab, forwards: ["6060:60"]}\n')
    host.virsh("start", "gone", "--paused")
    assert "6060" in elements(host)
    more = '  gone: {network: lab, forwards: ["6060:60"]}\n  late: {network: lab, forwards: ["7070:70"]}\n'
    host.write(FILE, SEED.replace("mode: nat", "mode: nat\n    host_access: services") + more)
    options = ["--confirm", "10"] if confirm else []
    killed = host.run([GUESTNET.parent / "python", "-c", KILLED_AT_THE_END, *options], check=False)
    assert killed.returncode == -9
    assert '"kind": "table"' in host.read(JOURNAL), "its step has the forwards that were in force"
    host.virsh("destroy", "gone")
    for name in ("web1", "late"):
        host.virsh("start", name, "--paused")
    assert {port: port in elements(host) for port in ("4080", "6060", "7070")} == {
        "4080": True,
        "6060": False,
        "7070": True,
    }
    assert host.exists("/var/lib/libvirt/dnsmasq/guestnet-lab/late")
    if confirm:
        wait_for("the undoing", lambda: not host.exists(PENDING), timeout=30)
    else:
        host.guestnet("rollback", "--yes")
    assert "4080" in elements(host), "web1 runs"
    assert "6060" not in elements(host), "gone is off"
    assert "7070" not in elements(host), "late was never in force"
    assert not host.exists("/var/lib/libvirt/dnsmasq/guestnet-lab/late")
    assert not host.exists(JOURNAL)
    assert "Nothing to do" in apply(host, SEED + '  gone: {network: lab, forwards: ["6060:60"]}\n')


def test_whether_a_network_starts_at_boot_stays_as_somebody_has_set_it(lab: Lab) -> None:
    """It stops no rollback, and the definition goes back."""
    apply(lab.host)
    before = snapshot(lab.host)
    apply(lab.host, OTHER)
    lab.host.virsh("net-autostart", "lab", "--disable")
    done = lab.host.guestnet("rollback", "--yes")
    assert "done: the host is as it was before" in done.stderr
    assert "Autostart:      no" in lab.host.virsh("net-info", "lab").stdout
    lab.host.virsh("net-autostart", "lab")
    assert snapshot(lab.host) == before


def test_a_damaged_way_back(lab: Lab) -> None:
    apply(lab.host)
    whole = lab.host.read("/var/lib/guestnet/rollback")
    older = whole.replace('"guestnet journal": 2', '"guestnet journal": 1')
    for text in ("", whole[:20], whole[: len(whole) // 2], whole[:-1], "\x00" * 100, older):
        lab.host.write("/var/lib/guestnet/rollback", text)
        done = lab.host.guestnet("rollback", "--yes", check=False)
        assert done.returncode == 1
        assert "damaged" in done.stderr
        assert "Nothing to do" in apply(lab.host)
    apply(lab.host, OTHER)
    lab.host.guestnet("rollback", "--yes")


@pytest.mark.parametrize("edited", [True, False], ids=["another file", "the same file"])
def test_an_apply_over_what_nobody_knows(lab: Lab, edited: bool) -> None:
    """Both records of what was applied are gone: whether the file is another is not known. Then what changes the host
    is gone back from, and what only writes the records anew is not."""
    apply(lab.host)
    lab.host.define_guest("web1", "lab", MAC, memory=16)
    lab.host.virsh("start", "web1", "--paused")
    apply(lab.host, SEED.replace("4023:22", "4024:22"))
    way_back, before = lab.host.read("/var/lib/guestnet/rollback"), elements(lab.host)
    assert "4024" in before
    lab.host.shell("rm /var/lib/guestnet/applied.*")
    if not edited:
        apply(lab.host)
        assert lab.host.read("/var/lib/guestnet/rollback") == way_back
        lab.host.guestnet("rollback", "--yes")
        assert "4023" in elements(lab.host)
        return
    xml = lab.host.virsh("net-dumpxml", "lab", "--inactive").stdout
    apply(lab.host, SEED.replace("4023:22", "4025:22").replace("mode: nat", "mode: nat\n    mtu: 1400"))
    assert "4025" in elements(lab.host)
    done = lab.host.guestnet("rollback", "--yes")
    assert "back to before the apply" in done.stderr + done.stdout
    assert lab.host.virsh("net-dumpxml", "lab", "--inactive").stdout == xml
    assert elements(lab.host) == before, "forwards of a guest that runs are not lost with the record"
