"""A libvirt network of somebody's: into the first file, taken over as it runs, restarted when told to, given back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.guest import RealGuest
from lab.host import Host
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab

XML = """<network><name>default</name><forward mode='nat'/><bridge name='virbr0' stp='on' delay='0'/>
<dns><txt name='kept' value='as found'/></dns>
<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.254'/>
<host mac='52:54:00:00:00:77' ip='192.168.122.77'/></dhcp></ip></network>"""
HOLD = "<network><name>cell</name><bridge name='virbr1'/><ip address='192.168.99.1' netmask='255.255.255.0'/></network>"


class World(NamedTuple):
    host: Host
    lab: Lab
    guest: RealGuest


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The tests go on from one another."""
    with Lab() as lab:
        lab.host.define_network(XML)
        lab.host.define_network(HOLD)
        guest = lab.host.define_guest("web1", "default")
        guest.start()
        guest.wait_addresses(v6=False)
        yield World(lab.host, lab, guest)


def running(host: Host) -> tuple[str, str]:
    """What tells a restart: dnsmasq's process, and the definition that runs."""
    pid = host.run(["cat", "/run/libvirt/network/default.pid"]).stdout
    return pid, host.virsh("net-dumpxml", "default").stdout


def test_a_first_file_takes_over_without_a_restart(world: World) -> None:
    host, before = world.host, running(world.host)
    host.guestnet("init", "-o", FILE)
    text = host.read(FILE)
    assert "# a guess: what DHCP gave it last" in text
    assert "txt" not in text, "the file can't say it"
    assert host.guestnet("check").returncode == 0
    refused = host.guestnet("plan", check=False).stdout
    assert "take that one over: guestnet adopt default" in " ".join(refused.split())
    commented = text + "# mine\n"
    host.write(FILE, commented)
    done = host.guestnet("adopt", "default", "cell", "--yes")
    assert "no guest loses its network" in done.stdout
    assert "xmlns" not in done.stdout
    assert done.stdout.count("/guestnet-default") == 1, "as a line, not in the note again"
    assert "damaged or gone" not in done.stdout, "there was nothing to remember yet"
    assert host.read(FILE) == commented
    assert running(host) == before
    assert world.guest.probe("tcp", "203.0.113.1", 7).answered
    assert host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
    stored = host.virsh("net-dumpxml", "default", "--inactive").stdout
    assert "guestnet:network" in stored
    assert "<txt name='kept'" in stored


def test_forwards_work_and_what_can_changes_as_it_runs(world: World) -> None:
    host, pid = world.host, running(world.host)[0]
    host.guestnet("forward", "add", "web1", "4080:80")
    assert world.lab.inet.probe("tcp", "203.0.113.2", 4080).answered
    host.write(
        FILE,
        host.read(FILE).replace("    bridge: virbr0", "    dns: {hosts: {a.example: 10.0.0.1}}\n    bridge: virbr0"),
    )
    host.guestnet("apply", "--yes")
    assert "10.0.0.1" in world.guest.run("nslookup a.example 192.168.122.1").stdout
    assert running(host)[0] == pid


def test_the_rest_waits_for_its_restart(world: World) -> None:
    host, pid = world.host, running(world.host)[0]
    host.write(FILE, host.read(FILE).replace("    bridge: virbr0", "    domain: new.example\n    bridge: virbr0"))
    assert "no guest loses its network" in host.guestnet("apply", "--yes").stdout
    assert running(host)[0] == pid
    plan = host.guestnet("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 0, "nothing to do until then"
    assert "network default: part of it waits for its next restart" in " ".join(plan.stdout.split())
    assert "new.example" in plan.stdout
    assert "waits for its next restart" in host.guestnet("status").stdout.replace("\n           ", " ")
    restarted = host.guestnet("apply", "--restart", "--yes")
    assert "restart: web1 without network for up to 1 s" in restarted.stdout
    assert "new.example" in running(host)[1]
    assert running(host)[0] != pid
    plan = host.guestnet("plan", "--detailed-exitcode", check=False)
    assert (plan.returncode, "waits" in plan.stdout) == (0, False)
    assert world.lab.inet.probe("tcp", "203.0.113.2", 4080).answered
    assert "<host mac='52:54:00:00:00:77'" in running(host)[1], "of a guest that is not in the file"


def test_given_back_it_runs_on(world: World) -> None:
    host, before = world.host, running(world.host)
    said = host.guestnet("release", "default", "--yes").stdout
    assert "it runs on by libvirt's rules" in said
    assert "default -> internet" not in said
    assert running(host) == before
    assert "  default:" not in host.read(FILE)
    assert "# mine" in host.read(FILE)
    assert "web1" not in host.read(FILE), "it is in no other"
    assert "guestnet" not in host.virsh("net-dumpxml", "default", "--inactive").stdout
    assert world.lab.inet.probe("tcp", "203.0.113.2", 4080).kind == "refused"
    assert world.guest.probe("tcp", "203.0.113.1", 7).answered
    assert host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
    # Its dnsmasq starts again, with what it knows: the folder is still there.
    host.virsh("net-update", "default", "add", "ip-dhcp-host", "<host mac='52:54:00:00:00:78' ip='192.168.122.78'/>")
    assert host.run(["pgrep", "-f", "default.conf"]).stdout
    host.virsh("net-destroy", "default")
    host.virsh("net-start", "default")
    assert "new.example" in running(host)[1], "what the file said of it stays"


def test_destroy_gives_back_too(world: World) -> None:
    host = world.host
    host.guestnet("adopt", "default", "--yes")
    host.guestnet("apply", "--restart", "--yes")
    host.guestnet("destroy", "--yes")
    for name in ("default", "cell"):
        for flag in ([], ["--inactive"]):
            assert "guestnet" not in host.virsh("net-dumpxml", name, *flag).stdout
        assert "yes" in host.virsh("net-info", name).stdout.partition("Active:")[2].splitlines()[0]
    assert not host.shell(
        "find /var/lib/libvirt/dnsmasq /var/lib/guestnet -name '*guestnet*' 2>/dev/null || true"
    ).stdout
    world.guest.run("true")
    assert world.guest.probe("tcp", "203.0.113.1", 7).answered


def test_what_libvirt_does_not_have_is_named(world: World) -> None:
    said = world.host.guestnet("adopt", "defualt", "--yes", check=False)
    assert (said.returncode, "it has cell, default" in said.stderr) == (1, True)
    assert world.host.guestnet("release", "nothing", "--yes", check=False).returncode == 1
