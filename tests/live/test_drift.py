"""Whatever somebody changed by hand is named by plan and status, and mended by apply; what is theirs stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from lab import Lab
from lab.host import Host
from tests.live.conftest import FILE, apply

pytestmark = pytest.mark.lab

TEXT = """
networks:
  lab: {mode: nat, bridge: vlab, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64", mtu: 1400, guest_isolation: true}
  lan: {mode: bridge, bridge: br1, interface: eth1}
guests:
  web1: {network: lab, mac: "52:54:00:00:00:01", forwards: [4080:80, {ports: 8080, to: 81, loopback: true}]}
"""
RECORD = "<host ip='10.9.9.9'><hostname>x</hostname></host>"
EDITED = "virsh net-dumpxml lab | sed 's,<mtu.*/>,,' | virsh net-define /dev/stdin"
RESERVATION = "/var/lib/libvirt/dnsmasq/guestnet-lab/web1"
LAST = "nft -a list chain inet guestnet forward | grep -o 'handle [0-9]*$' | tail -1 | cut -d' ' -f2"
# What happens -> what plan and status say of it.
KINDS = {
    "nft flush chain inet guestnet forward": "firewall table inet guestnet",
    f"nft delete rule inet guestnet forward handle $({LAST})": "firewall table inet guestnet",
    "nft delete table inet guestnet": "firewall table inet guestnet",
    "nft delete element inet guestnet any4 '{ tcp . 4080 }'": "+ in force: 4080/tcp",
    "nft add element inet guestnet any4 '{ tcp . 9 : 10.9.1.77 . 9 }'": "- in force: 9/tcp",
    "iptables -D FORWARD 1": "admit rule in iptables FORWARD",
    "ip6tables -I FORWARD -j ACCEPT": "admit rule in ip6tables FORWARD",
    EDITED: '+ <mtu size="1400" />',
    f'virsh net-update lab add dns-host "{RECORD}" --live': '- <host ip="10.9.9.9">',
    f'virsh net-update lab add dns-host "{RECORD}" --config': '- <host ip="10.9.9.9">',
    "virsh net-autostart lab --disable": "autostart on",
    "virsh net-destroy lab": "+ started",
    "virsh net-undefine lab": "network lab",
    "virsh net-destroy lab; virsh net-undefine lab": "network lab",
    "virsh net-destroy lab; virsh net-start lab": "libvirt's record of vnet0",
    "virsh net-undefine lan; virsh net-destroy lan": "network lan",
    "ip link set vnet0 nomaster": "vnet0 back into vlab",
    "ip link set vnet0 type bridge_slave isolated off": "vnet0 is not kept from other guests",
    "ip addr add 10.77.0.1/24 dev vlab": "vlab has 10.77.0.1/24, which is not of the network",
    "ip addr add fd00:77::1/64 dev vlab": "vlab has fd00:77::1/64, which is not of the network",
    "ip addr del 10.9.1.1/24 dev vlab": "vlab has lost 10.9.1.1/24",
    "ip addr del fd00:9:0:1::1/64 dev vlab": "vlab has lost fd00:9:0:1::1/64",
    "ip link set vlab down": "vlab is down",
    "ip link set vlab mtu 1300": "vlab has MTU 1300, not 1400",
    "ip link set vlab address 52:54:00:99:99:99": "vlab has MAC 52:54:00:99:99:99",
    "ip link set vlab type bridge stp_state 0": "vlab does not speak STP",
    "ip link del vlab": "its bridge is gone",
    "kill -9 $(cat /run/libvirt/network/lab.pid); sleep 0.1": "its dnsmasq does not run",
    "ip link set eth1 nomaster": "bridge br1 over eth1",
    "ip link del br1": "bridge br1 over eth1",
    "ip link set br1 mtu 1300": "bridge br1 over eth1",
    "ip link set br1 down": "bridge br1 over eth1",
    "ip link set eth1 down": "bridge br1 over eth1",
    "ip link set br1 type bridge stp_state 1": "bridge br1 over eth1",
    "virsh net-destroy lan": "+ started",
    f"rm {RESERVATION}": "+ reservation 52:54:00:00:00:01",
    f"echo 52:54:00:00:00:01,10.9.1.99 > {RESERVATION}": "~ reservation 52:54:00:00:00:01",
    "echo 52:54:00:00:00:09,10.9.1.99 > /var/lib/libvirt/dnsmasq/guestnet-lab/x": "- reservation 52:54:00:00:00:09",
    "rm -r /var/lib/libvirt/dnsmasq/guestnet-lab": "reservation 52:54:00:00:00:01",
    "chmod 700 /var/lib/libvirt/dnsmasq/guestnet-lab": "guestnet-lab",
    "rm /etc/libvirt/hooks/qemu.d/50-guestnet": "hook /etc/libvirt/hooks/qemu.d/50-guestnet",
    "chmod -x /etc/libvirt/hooks/network.d/50-guestnet": "hook /etc/libvirt/hooks/network.d/50-guestnet",
    "echo >> /var/lib/guestnet/hook.py": "the hooks' program",
    "rm -r /var/lib/guestnet/compiled": "/var/lib/guestnet/compiled/table.nft",
    "rm /etc/sysctl.d/90-guestnet.conf": "/etc/sysctl.d/90-guestnet.conf",
    "echo 0 > /proc/sys/net/ipv4/ip_forward": "net.ipv4.ip_forward 0 -> 1",
    "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding": "net.ipv6.conf.all.forwarding 0 -> 1",
    "echo 0 > /proc/sys/net/ipv4/conf/vlab/route_localnet": "net.ipv4.conf.vlab.route_localnet",
}
# Everything that apply writes: what is ours at which path, and how a plan calls it.
LIB = "/var/lib/guestnet"
FILES = {
    f"{LIB}/memory.json": f"{LIB}/memory.json, what is remembered of this host",
    f"{LIB}/applied.json": f"{LIB}/applied.json, what was applied last",
    f"{LIB}/applied.yaml": f"{LIB}/applied.yaml, the file that was applied last",
    f"{LIB}/hook.py": f"the hooks' program, {LIB}/hook.py",
    **{
        f"{LIB}/compiled/{name}": f"{LIB}/compiled/{name}, which the hooks read"
        for name in ("table.nft", "admit", "let_in.py", "bridges", "localnets")
    },
    f"{LIB}/compiled/guests/web1": f"{LIB}/compiled/guests/web1, which the hooks read",
    "/etc/libvirt/hooks/qemu.d/50-guestnet": "hook /etc/libvirt/hooks/qemu.d/50-guestnet",
    "/etc/libvirt/hooks/network.d/50-guestnet": "hook /etc/libvirt/hooks/network.d/50-guestnet",
    "/etc/sysctl.d/90-guestnet.conf": "/etc/sysctl.d/90-guestnet.conf",
    RESERVATION: "reservation 52:54:00:00:00:01",
}
# Beside them, where ours would be: a file, and what is said of it.
STRAY = {
    f"{LIB}/compiled/guests/stray": f"- {LIB}/compiled/guests/stray, which the hooks read",
    f"{LIB}/compiled/now/stray": f"- {LIB}/compiled/now/stray, which the hooks read",
    f"{LIB}/compiled/outside": f"- {LIB}/compiled/outside, which the hooks read",
    "/var/lib/libvirt/dnsmasq/guestnet-lab/stray": "- reservation x",
    "/var/lib/libvirt/dnsmasq/guestnet-other/stray": "- /var/lib/libvirt/dnsmasq/guestnet-other",
    "/etc/systemd/system/guestnet.service": "- guestnet.service",
    "/etc/systemd/system/guestnet-loopback-9.socket": "- guestnet-loopback-9.socket",
}
MADE = "+ forward 4080/tcp -> 80"  # of a guest whose file is gone
THEIRS = """
nft add table inet theirs; iptables -A FORWARD -p tcp --dport 9 -j DROP; ip link add brx type bridge
ip addr add 198.51.100.9/24 dev brx; echo net.core.somaxconn=4096 > /etc/sysctl.d/10-theirs.conf
printf '#!/bin/sh\\n' > /etc/libvirt/hooks/qemu.d/10-theirs; chmod 755 /etc/libvirt/hooks/qemu.d/10-theirs
"""
SEEN = (
    "nft list table inet theirs; ip -o addr show brx; cat /etc/sysctl.d/10-theirs.conf; ls -l /etc/libvirt/hooks/qemu.d"
)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab() as lab:
        lab.inet.plug(lab.host, "eth1", "p1")
        apply(lab.host, TEXT)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", "52:54:00:00:00:01", memory=16)
        lab.host.virsh("start", "web1", "--paused")
        yield lab.host


@pytest.mark.parametrize("happens", KINDS)
def test_it_is_named_and_mended(host: Host, happens: str) -> None:
    host.shell(happens)
    plan = host.guestnet("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 2
    assert KINDS[happens] in plan.stdout
    status = host.guestnet("status").stdout
    assert KINDS[happens] in status
    assert "none: the host is as the file says" not in status or not KINDS[happens]
    host.guestnet("apply", "--yes")
    after = host.guestnet("plan", "--detailed-exitcode", check=False)
    assert after.returncode == 0, after.stdout
    assert "vlab" in host.run(["ip", "link", "show", "vnet0"]).stdout, "the guest is in its bridge"


def named_and_mended(host: Host, said: Iterable[str]) -> None:
    plan = host.guestnet("plan", "--detailed-exitcode", check=False)
    assert plan.returncode == 2, plan.stdout
    status = host.guestnet("status").stdout
    for line in said:
        assert line in plan.stdout
        assert line in status
    host.guestnet("apply", "--yes")
    after = host.guestnet("plan", "--detailed-exitcode", check=False)
    assert after.returncode == 0, after.stdout


def test_each_file_of_ours_that_is_changed(host: Host) -> None:
    """In two rounds: where both records of what was applied differ, nobody knows what that was."""
    way_back = host.read(f"{LIB}/rollback")
    for spared in ("applied.yaml", "applied.json"):
        paths = [path for path in FILES if not path.endswith(spared)]
        host.shell("\n".join(f"echo x >> {path}" for path in paths))
        named_and_mended(host, (f"~ {FILES[path]}" for path in paths))
    assert host.read(f"{LIB}/rollback") == way_back, "what was only mended is nothing to go back from"


def test_each_file_of_ours_that_is_gone(host: Host) -> None:
    for spared in ("memory.json", "applied.json"):
        paths = [path for path in FILES if not path.endswith(spared)]
        host.shell("\n".join(f"rm {path}" for path in paths))
        named_and_mended(host, (MADE if "guests/" in path else f"+ {FILES[path]}" for path in paths))


def test_each_file_of_ours_with_another_mode(host: Host) -> None:
    host.shell("\n".join(f"chmod 640 {path}" for path in FILES))
    named_and_mended(host, (f"~ {said}" for said in FILES.values()))


def test_strays_where_ours_would_be(host: Host) -> None:
    host.shell("\n".join(f"mkdir -p $(dirname {path}); echo x > {path}" for path in STRAY))
    named_and_mended(host, STRAY.values())
    assert not any(host.run(["test", "-e", path], check=False).returncode == 0 for path in STRAY)


def test_the_file_in_other_words_is_no_drift(host: Host) -> None:
    """Nor when what was applied is kept in yet others."""
    host.write(FILE, f"# a comment\n{TEXT}")
    assert host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
    assert "none: the host is as the file says" in host.guestnet("status").stdout
    host.write(FILE, TEXT)


def test_what_is_theirs_is_no_drift(host: Host) -> None:
    host.shell(THEIRS)
    before = host.shell(SEEN).stdout
    assert host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
    host.write(FILE, TEXT.replace("4080:80", "4081:80"))
    host.guestnet("apply", "--yes")
    assert host.shell(SEEN).stdout.replace("\n", "") == before.replace("\n", "")
