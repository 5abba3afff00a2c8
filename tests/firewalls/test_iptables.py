"""Who has rules in iptables' FORWARD: docker (imitated rule for rule), and the hooks that people used before ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from tests.firewalls.conftest import ALL, World, world
from tests.live.conftest import ADMIT

pytestmark = pytest.mark.lab

# What dockerd does to both families when it starts (https://docs.docker.com/engine/network/packet-filtering-firewalls/):
# policy DROP, and its jumps put on top, also at a restart. OLD: 20.10; NEW: 28, which has ip6tables on by default.
OLD = """
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-ISOLATION-STAGE-2
-N DOCKER-USER
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
-P FORWARD DROP
-I FORWARD -i docker0 -o docker0 -j ACCEPT
-I FORWARD -i docker0 ! -o docker0 -j ACCEPT
-I FORWARD -o docker0 -j DOCKER
-I FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-I FORWARD -j DOCKER-ISOLATION-STAGE-1
-I FORWARD -j DOCKER-USER
-t nat -N DOCKER
-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-t nat -A DOCKER -i docker0 -j RETURN
"""
NEW = """
-N DOCKER
-N DOCKER-BRIDGE
-N DOCKER-CT
-N DOCKER-FORWARD
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-ISOLATION-STAGE-2
-N DOCKER-USER
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-P FORWARD DROP
-I FORWARD -j DOCKER-FORWARD
-I FORWARD -j DOCKER-USER
-t nat -N DOCKER
-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
"""
# A restart: jumps are taken out and put on top again; the chains are kept.
AGAIN = "-D FORWARD -j DOCKER-USER\n-I FORWARD -j DOCKER-USER\n"


def dockerd(world: World | Lab, rules: str) -> None:
    lines = [f"{program} {rule}" for program in ("iptables", "ip6tables") for rule in rules.strip().splitlines()]
    bridge = "ip link show docker0 >/dev/null 2>&1 || { ip link add docker0 type bridge; ip link set docker0 up; }"
    world.host.shell("\n".join([bridge, *lines]))


def without_docker(world: World) -> None:
    """As after a boot without it: libvirt's jumps and our rules stay."""
    for program in ("iptables", "ip6tables"):
        world.host.shell(
            f"{program} -P FORWARD ACCEPT\n"
            f"{program} -t nat -F PREROUTING; {program} -t nat -F DOCKER; {program} -t nat -X DOCKER\n"
            f"{program} -S FORWARD | grep -i docker | sed 's/^-A/{program} -D/' | sh -e\n"
            f"for c in $({program} -S | sed -n 's/^-N \\(DOCKER.*\\)/\\1/p'); do {program} -F $c; done\n"
            f"for c in $({program} -S | sed -n 's/^-N \\(DOCKER.*\\)/\\1/p'); do {program} -X $c; done"
        )


@pytest.fixture(scope="module")
def beside() -> Iterator[World]:
    with Lab() as lab:
        yield world(lab)


@pytest.fixture(scope="module")
def neighbour(beside: World) -> FakeGuest:
    """Another guest in the bridge."""
    plug = Static(ipv4="192.168.84.77/24", ipv6=f"{beside.gateway6.removesuffix('::1')}::77/64")
    return beside.host.fake_guest("other", "virbr84", plug=plug)


@pytest.mark.parametrize("rules", [OLD, NEW], ids=["20.10", "28"])
@pytest.mark.parametrize("filtered", [0, 1])
def test_docker(beside: World, neighbour: FakeGuest, rules: str, filtered: int) -> None:
    """Before it, after it, after its restart; with br_netfilter each packet between two guests is judged, too."""
    beside.host.shell(f"for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo {filtered} > $f; done")
    dockerd(beside, rules)
    beside.wait_seen(ALL)
    assert "DOCKER-USER" in beside.host.run(["iptables", "-S", "FORWARD", "1"]).stdout
    assert "admit rule in iptables FORWARD" in beside.drift(), "below its jumps, which is told and does no harm"
    dockerd(beside, AGAIN)
    beside.wait_seen(ALL)
    beside.hook()
    assert beside.drift() == ""
    beside.wait_seen(ALL)
    for address in ("192.168.84.10", "192.168.84.1"):
        port = 53 if address.endswith(".1") else 80
        assert neighbour.probe("tcp", address, port, timeout=0.7).kind == "answered", (address, "between guests")
    # Without our rules, what docker's policy does.
    for program in ("iptables", "ip6tables"):
        beside.host.run([program, "-D", "FORWARD", *ADMIT])
    assert beside.seen() == "in none, out all, dns all"
    beside.restore()
    beside.wait_seen(ALL)
    without_docker(beside)
    beside.wait_seen(ALL)
    beside.host.shell("for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo 0 > $f; done")


@pytest.mark.parametrize("how", ["hook", "unit", "apply"])
def test_a_flush_of_forward(beside: World, how: str) -> None:
    """Libvirt's jumps go with our rules, so forwards pass, and so would everybody; its own chains do not come back."""
    beside.host.shell("iptables -F FORWARD; ip6tables -F FORWARD")
    assert "admit rule in iptables FORWARD" in beside.drift()
    beside.mend(how)
    assert "libvirt's own firewall rules are gone" in beside.notes()
    beside.wait_seen(ALL)
    beside.host.libvirtd.restart()
    assert beside.seen() == "in none, out all, dns all", "libvirt's jumps are above our rules again"
    beside.hook("reconnect")  # what libvirt calls for each guest that runs
    beside.wait_seen(ALL)


# In the manner of saschpe's libvirt-hook-qemu: what it is told by, and the rules that it makes.
OLD_HOOK = """#!/bin/sh
# reads hooks.json beside it
case $2 in
start)
	iptables -t nat -N DNAT-$1
	iptables -N FWD-$1
	iptables -t nat -A DNAT-$1 -d 203.0.113.2/32 -p tcp -m tcp --dport 4080 -j DNAT --to-destination 192.168.84.99:80
	iptables -A FWD-$1 -d 192.168.84.99/32 -o virbr84 -p tcp -m tcp --dport 80 -j ACCEPT
	iptables -t nat -I PREROUTING -d 203.0.113.2/32 -j DNAT-$1
	iptables -I FORWARD -d 192.168.84.99/32 -j FWD-$1 ;;
stopped)
	iptables -t nat -D PREROUTING -d 203.0.113.2/32 -j DNAT-$1
	iptables -D FORWARD -d 192.168.84.99/32 -j FWD-$1
	iptables -t nat -F DNAT-$1; iptables -t nat -X DNAT-$1
	iptables -F FWD-$1; iptables -X FWD-$1 ;;
esac
"""
QEMU = "/etc/libvirt/hooks/qemu"
CONFIG = '{"web1": {"interface": "virbr84", "private_ip": "192.168.84.99", "port_map": {"tcp": [[4080, 80]]}}}'


def test_never_both_hooks_at_once(beside: World) -> None:
    """Noticed before it harms: nothing is applied until the old one is retired, and the plan says how."""
    host = beside.host
    host.write(QEMU, OLD_HOOK.replace("4080", "4999"), mode=0o755)
    host.write("/etc/libvirt/hooks/hooks.json", CONFIG.replace("web1", "else").replace("4080", "4999"))
    assert f"{QEMU} forwards ports too; as far as can be told from the text of it and " in beside.notes()
    host.write("/etc/libvirt/hooks/hooks.json", CONFIG.replace("web1", "else"))
    said = beside.notes()
    assert f"problem: {QEMU} forwards ports for others that are this file's: 4080/tcp is web1's here" in said
    assert f"retire it: {QEMU} else stopped end -; mv " in said
    # A wrapper of one line, its hook somewhere else; and in qemu.d, with its hooks.json in libvirt's folder.
    host.write("/root/hooks", OLD_HOOK, mode=0o755)
    host.write("/root/hooks.json", CONFIG)
    host.run(["rm", QEMU, "/etc/libvirt/hooks/hooks.json"])
    for line in ('exec /root/hooks "$@"', 'exec "$(dirname "$0")/../../../../root/hooks" "$@"'):
        host.write("/etc/libvirt/hooks/qemu.d/10-old", f"#!/bin/sh\n{line}\n", mode=0o755)
        assert "10-old forwards ports for guest web1 too, beside this file" in beside.notes()
    host.run(["cp", "/root/hooks", "/etc/libvirt/hooks/qemu.d/10-old"])
    host.run(["mv", "/root/hooks.json", "/etc/libvirt/hooks/hooks.json"])
    assert "10-old forwards ports for guest web1 too, beside this file" in beside.notes()
    host.run(["rm", "/etc/libvirt/hooks/qemu.d/10-old"])
    host.write(QEMU, OLD_HOOK, mode=0o755)
    host.write("/etc/libvirt/hooks/hooks.json", CONFIG)
    host.run([QEMU, "web1", "start", "begin", "-"])
    said = beside.notes()
    assert f"problem: {QEMU} forwards ports for guest web1 too, beside this file" in said
    assert "guestnet init --hooks-json /etc/libvirt/hooks/hooks.json" in said
    assert host.guestnet("apply", "--yes", check=False).returncode == 1
    assert "4080" in host.guestnet("init", "--hooks-json", "/etc/libvirt/hooks/hooks.json").stdout

    retire = said.partition("retire it: ")[2].partition(")")[0]
    left = retire.partition("; ")[2]
    assert left == f"mv {QEMU} {QEMU}.retired"
    host.shell(left)
    lines = [line.strip() for line in host.guestnet("plan").stdout.splitlines()]
    commands = [line for line in lines if line.startswith("iptables -t ")]
    assert len(commands) == 2 * 3, "moved away without its `stopped`: its rules are still there"
    for command in commands:
        host.shell(command)
    assert "libvirt-hook-qemu" not in beside.notes()
    assert "web1" not in host.run(["iptables-save"]).stdout
    beside.hook("started")
    beside.wait_seen(ALL)

    log = "/var/log/guestnet/hook.log"
    assert "is run too" not in (host.read(log) if host.exists(log) else "")
    host.shell(f"mv {QEMU}.retired {QEMU}")
    host.run([QEMU, "web1", "start", "begin", "-"])
    beside.hook("started")
    assert f"web1: {QEMU} is run too" in host.read(log), "put back after our apply"
    host.shell(retire)
    assert "web1" not in host.run(["iptables-save"]).stdout
    assert "libvirt-hook-qemu" not in beside.notes()
    beside.wait_seen(ALL)


def test_docker_first(beside: World) -> None:
    beside.host.guestnet("destroy", "--yes")
    assert "guestnet" not in beside.host.run(["nft", "list", "tables"]).stdout
    dockerd(beside, NEW)
    beside.host.guestnet("apply", "--yes")
    beside.host.run(["ip", "link", "set", beside.guest.port, "master", "virbr84"])
    beside.hook("started")
    beside.wait_seen(ALL)
    assert beside.drift() == ""
