"""The lab itself: what tests and the demo lean on. Real processes in real namespaces; needs root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest

from lab import CommandError, Lab, LabError, clean, state
from lab.host import IPV4, IPV6
from lab.inet import ROUTER4, ROUTER6
from lab.namespace import Process, network_of
from lab.process import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a lab needs root")

BOTH = [(ROUTER4, IPV4), (ROUTER6, IPV6)]  # asked from the host or from behind it, and as whom it is seen


def members(pid: int) -> list[Process]:
    """The processes of this machine that are in the same network namespace as this one.

    Ask before they are to end, then whether they live: a later namespace may get the number of one that is gone.
    """
    network = network_of(pid)
    found = [Process.of(int(path.name)) for path in Path("/proc").glob("[0-9]*") if network_of(path.name) == network]
    assert network
    return [process for process in found if process is not None]


def living(processes: list[Process]) -> list[Process]:
    return [process for process in processes if process.alive()]


@pytest.mark.parametrize(("router", "own"), BOTH)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_host_and_internet_reach_each_other(lab: Lab, protocol: str, router: str, own: str) -> None:
    out = lab.host.probe(protocol, router, 7)
    assert (out.kind, out.peer, out.seen) == ("answered", "inet", ip_address(own))
    service = lab.host.echo(4023)
    client = "203.0.113.9" if "." in own else "2001:db8:1::9"
    back = lab.inet.probe(protocol, own, 4023, source=client)
    assert (back.kind, back.peer, back.seen) == ("answered", "host", ip_address(client))
    lab.host.kill(service)
    assert lab.inet.probe(protocol, own, 4023).text == "ECONNREFUSED"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_an_answer_comes_from_the_address_that_was_asked(lab: Lab, protocol: str) -> None:
    for address in ("203.0.113.10", "2001:db8:1::10"):
        assert lab.host.probe(protocol, address, 7, timeout=1).answered


def test_silence_refusal_and_no_way_are_told_apart(lab: Lab) -> None:
    lab.inet.shell("nft add table inet quiet; nft add chain inet quiet in '{ type filter hook input priority 0; }'")
    lab.inet.shell("nft add rule inet quiet in th dport 99 drop")
    silent = lab.host.probe("tcp", ROUTER4, 99, timeout=0.4)
    assert silent.kind == "timeout"
    assert 0.4 <= silent.seconds < 1
    lab.inet.shell("nft delete table inet quiet")
    assert lab.host.probe("tcp", ROUTER4, 99).text == "ECONNREFUSED"
    lab.host.shell("ip route add unreachable 198.51.100.0/24")
    nowhere = lab.host.probe("udp", "198.51.100.1", 7)
    assert (nowhere.kind, nowhere.text) == ("refused", "EHOSTUNREACH")
    with pytest.raises(LabError, match="cannot use that source"):
        lab.host.probe("tcp", ROUTER4, 7, source="192.0.2.1")


def test_a_failed_command_says_everything(lab: Lab) -> None:
    with pytest.raises(CommandError, match=r"(?s)sh -c .*exit code 7.*out here.*err here"):
        lab.host.run(["sh", "-c", "echo out here; echo err here >&2; exit 7"])
    with pytest.raises(LabError, match="still running after"):
        lab.host.run(["sleep", "98765"], timeout=0.2)
    wait_for("the end of the sleeper", lambda: "98765" not in lab.host.run(["ps", "ax"]).stdout, timeout=2)


def test_the_host_starts_as_a_fresh_one(lab: Lab) -> None:
    with Lab(libvirtd=False, bridge_nf=1) as other:
        assert [other.host.sysctl(f"ipv{n}/conf/all/forwarding") for n in (4, 6)] == ["0", "0"]
        assert other.host.sysctl("bridge/bridge-nf-call-iptables") == "1"
        assert other.host.run(["ls", "/etc/sysctl.d", "/etc/libvirt/hooks"]).stdout.split() == [
            "/etc/libvirt/hooks:",
            "/etc/sysctl.d:",
        ]
        assert other.host.run(["nft", "list", "ruleset"]).stdout == ""
    assert lab.host.sysctl("bridge/bridge-nf-call-iptables") == "0"


def test_the_machine_is_out_of_reach(lab: Lab) -> None:
    machine_only = Path("/proc/sys/kernel/panic").read_text()
    assert lab.host.run(["sh", "-c", "echo 77 > /proc/sys/kernel/panic"], check=False).returncode != 0
    assert Path("/proc/sys/kernel/panic").read_text() == machine_only
    lab.host.write("/etc/guestnet/guestnet.yaml", "networks: {}\n")
    lab.host.write("/var/lib/guestnet/mark", "")
    assert not Path("/var/lib/guestnet/mark").exists()
    # The host's process 1 is the tree's own, so no process of the machine can be signalled.
    assert "reaper" in lab.host.run(["cat", "/proc/1/comm"]).stdout


def test_a_fake_guest_gets_both_addresses(lab: Lab) -> None:
    fake = lab.host.fake_guest("fake1", "virbr0")
    v4, v6 = fake.wait_addresses()
    assert isinstance(v4, IPv4Address)
    assert isinstance(v6, IPv6Address)
    assert v4 in ip_network("192.168.122.0/24")
    assert v6 in ip_network("fd00:122::/64")
    for (router, own), address in zip(BOTH, (str(v4), str(v6)), strict=True):
        out = fake.probe("tcp", router, 7)
        assert (out.peer, out.seen) == ("inet", ip_address(own)), out
        assert lab.host.probe("udp", address, 22).peer == "fake1"
    assert ROUTER6 in fake.run(["getent", "ahosts", "echo.example"]).stdout
    fake.write("/etc/gai.conf", "reload yes\n")
    assert "reload yes" not in lab.host.run(["cat", "/etc/gai.conf"], check=False).stdout
    inside = members(fake.init.pid)
    fake.stop()
    assert inside
    assert living(inside) == []


def test_a_real_guest_boots(lab: Lab) -> None:
    guest = lab.host.define_guest("real1", "default")
    guest.start()
    v4, v6 = guest.wait_addresses()
    assert isinstance(v4, IPv4Address)
    assert isinstance(v6, IPv6Address)
    assert v4 in ip_network("192.168.122.0/24")
    assert v6 in ip_network("fd00:122::/64")
    found = guest.run(["getent", "ahosts", "echo.example"]).stdout
    assert ROUTER4 in found
    assert ROUTER6 in found
    for (router, own), address in zip(BOTH, (str(v4), str(v6)), strict=True):
        out = guest.probe("udp", router, 7)
        assert (out.peer, out.seen) == ("inet", ip_address(own)), out
        assert lab.host.probe("tcp", address, 8080).peer == "real1"
    assert guest.run("cat; echo bad >&2; exit 3", check=False, input="in").stdout == "in"
    with pytest.raises(CommandError, match="exit code 3"):
        guest.run("exit 3")
    guest.shutdown()
    assert not guest.running
    guest.start()
    pid = lab.host.read("/run/libvirt/qemu/real1.pid")
    guest.kill9()
    wait_for("libvirt to notice", lambda: not guest.running)
    assert not lab.host.alive(int(pid))
    guest.undefine()


def test_libvirtd_goes_and_comes_back(lab: Lab) -> None:
    first = lab.host.libvirtd.pid
    lab.host.libvirtd.kill9()
    assert not lab.host.libvirtd.running
    assert lab.host.virsh("net-list", check=False).returncode != 0
    lab.host.libvirtd.start()
    assert lab.host.libvirtd.pid not in (None, first)
    assert "default" in lab.host.virsh("net-list", "--name").stdout


def test_by_router_advertisement_and_reboot() -> None:
    with Lab(uplink="ra") as lab:
        for boot in (1, 2):
            addresses = lab.host.run(["ip", "-6", "addr", "show", "dev", "up0", "scope", "global"]).stdout
            assert "inet6 2001:db8:1:" in addresses
            assert "proto ra" in lab.host.run(["ip", "-6", "route", "show", "default"]).stdout
            assert lab.host.probe("tcp", ROUTER6, 7).answered
            assert lab.host.sysctl("ipv4/ip_forward") == str(boot - 1)
            assert lab.host.exists("/run/gone") is False
            assert lab.host.libvirtd.running
            if boot == 1:
                lab.host.write("/etc/sysctl.d/90-test.conf", "net/ipv4/ip_forward = 1\n")
                lab.host.write("/run/gone", "")
                lab.host.write("/var/lib/guestnet/kept", "yes")
                lab.host.run(["nft", "add", "table", "inet", "gone"])
                before = members(lab.host.init.pid)
                lab.host.reboot()
                assert len(before) > 2
                assert living(before) == []
        assert lab.host.read("/var/lib/guestnet/kept") == "yes"
        assert lab.host.run(["nft", "list", "tables"]).stdout == ""


def test_two_labs_with_the_same_names(lab: Lab) -> None:
    with Lab(libvirtd=False) as other:
        service = lab.host.echo(5000, name="first")
        assert lab.inet.probe("tcp", IPV4, 5000).peer == "first"
        assert other.inet.probe("tcp", IPV4, 5000).text == "ECONNREFUSED"
        other.host.echo(5000, name="second")
        assert other.inet.probe("tcp", IPV4, 5000).peer == "second"
        lab.host.kill(service)
        other.host.reboot()
    assert lab.inet.probe("tcp", ROUTER4, 7).answered


def test_nothing_is_left() -> None:
    lab = Lab()
    try:
        with lab:
            directory = lab.directory
            inside = [members(lab.host.init.pid), members(lab.inet.init.pid)]
            assert all(inside)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not directory.exists()
    assert [living(processes) for processes in inside] == [[], []]


def test_the_end_of_the_holder_ends_all() -> None:
    with Lab() as lab:
        inside = members(lab.host.init.pid)
        assert len(inside) > 2  # the reaper, virtlogd, libvirtd
        os.kill(lab.host.holder_pid, signal.SIGKILL)
        wait_for("the end of the tree", lambda: not living(inside), timeout=5)
        wait_for("the holder to be known as ended", lambda: not lab.host.running, timeout=5)


KILLED = """
import os, sys, time
from lab import Lab
with Lab(libvirtd=False) as lab:
    lab.host.popen(["sleep", "3600"])
    print(lab.directory, lab.host.init.pid, flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_the_test_process_ends_all(number: signal.Signals, repo: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=repo
    ) as owner:
        assert owner.stdout is not None
        name, pid = owner.stdout.readline().split()
        directory, inside = Path(name), members(int(pid))
        owner.send_signal(number)
        owner.send_signal(number)
    wait_for("the end of the tree", lambda: not living(inside), timeout=5)
    if number is signal.SIGKILL:
        assert directory in clean.clean()
    assert not directory.exists()


def test_clean_leaves_the_living_alone(lab: Lab) -> None:
    # A record whose start time is another's, and one that names a process in our own network: both must live.
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        mine = Process.of(bystander.pid)
        assert mine is not None
        for owner in (Process(bystander.pid, mine.started + 1), Process(os.getpid(), 1)):
            directory = state.make("stale")
            record = f'{{"owner": {{"pid": {owner.pid}, "started": {owner.started}}}, "trees": ['
            trees = f'{{"pid": {mine.pid}, "started": {mine.started}}}, {{"pid": {lab.inet.init.pid}, "started": 1}}]}}'
            (directory / state.RECORD).write_text(record + trees)
            assert directory in clean.clean()
        time.sleep(0.05)
        assert bystander.poll() is None
        assert lab.inet.running
        assert lab.directory.exists()
    finally:
        bystander.kill()
        bystander.wait()
