"""destroy, after a file with every mode and knob that a lab can do (not bandwidth: its kernel has no sfq; nor virtual
functions): the host is as it was, all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from guestnet.compile.hookdata import FOLDER
from lab import Lab
from lab.host import Host
from lab.systemd import Systemd
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab

ALL = """
networks:
  lab:
    mode: nat
    bridge: vlab
    stp: false
    ipv4: {address: 10.9.1.1/24, ranges: [10.9.1.50-10.9.1.99], lease: 7200}
    ipv6: {address: "fd00:9:0:1::1/64", lease: 7200}
    nat: {ipv6: true, ports: 50000-60000}
    domain: lab.internal
    dns: {forwarders: [203.0.113.1], hosts: {printer.lab.internal: 10.9.1.200}}
    egress: {deny: [private]}
    mtu: 1400
  auto: {mode: nat, ipv4: auto, ipv6: auto, inbound: closed, egress: {deny: [private, host]}, autostart: false}
  cell: {mode: isolated, host_access: services, guest_isolation: true}
  alone: {mode: isolated}
  dmz: {mode: routed, ipv4: 203.0.113.65/28, proxy_arp: true, uplink: up0, ipv6: "2001:db8:66:2::1/64", inbound: open}
  behind: {mode: routed, ipv4: 10.9.4.1/24, routes: [{to: 10.9.5.0/24, via: 10.9.4.10}]}
  spare: {mode: bridge, bridge: br1, interface: eth1, guest_isolation: true}
  shared: {mode: bridge, bridge: br0}
  tap: {mode: macvtap, interface: eth2, macvtap: private}
  whole: {mode: passthrough, interfaces: [eth4]}
guests:
  web1:
    network: lab
    forwards:
      - 4023:22
      - 4080:80/tcp+udp
      - {ports: 20000-29999, protocol: tcp+udp}
      - {ports: 30000-30999, from: 203.0.113.9, family: ipv4, description: a few}
      - {ports: 8080, to: 80, protocol: tcp+udp, loopback: true}
      - up0:9000:90
      - {listen: [203.0.113.7, "2001:db8:1::7"], protocol: all}
  db: {network: cell}
  two:
    nics: [{network: lab, mac: "52:54:00:00:02:01"}, {network: dmz, mac: "52:54:00:00:02:02"}]
    forwards: [{ports: 4222, to: 22, network: dmz, family: ipv4}]
  later: {network: auto, forwards: [4999:99]}
"""

# What others have on the host: all of it must be there afterwards, as it was.
OTHERS = """
ip link add br0 type bridge; ip link set eth3 master br0 up; ip link set br0 up; ip addr add 198.51.100.50/24 dev br0
ip addr add 203.0.113.7/24 dev up0; ip addr add 2001:db8:1::7/64 dev up0 nodad
for n in eth1 eth2 eth4 br0; do echo 0 > /proc/sys/net/ipv6/conf/$n/accept_ra; done
ip link set eth2 up; ip link set eth4 up
ip route add 198.18.0.0/15 via 203.0.113.1; ip rule add to 198.18.0.0/15 table 77
ip route add default via 203.0.113.1 table 77
ip neigh add proxy 203.0.113.99 dev up0; ip -6 neigh add proxy 2001:db8:1::99 dev up0
nft add table inet theirs; nft add chain inet theirs forward '{ type filter hook forward priority 5; policy accept; }'
nft add rule inet theirs forward tcp dport 9 counter drop
iptables -A FORWARD -p tcp --dport 9 -j DROP; ip6tables -I FORWARD -p tcp --dport 9 -j DROP
mkdir -p /etc/libvirt/hooks/qemu.d; printf '#!/bin/sh\\n' > /etc/libvirt/hooks/qemu.d/10-theirs
chmod 755 /etc/libvirt/hooks/qemu.d/10-theirs; echo net.core.somaxconn=4096 > /etc/sysctl.d/10-theirs.conf
mkdir -p /var/lib/libvirt/dnsmasq/theirs; echo x > /var/lib/libvirt/dnsmasq/theirs/host
"""
THEIRS = """<network><name>theirs</name><forward mode='nat'/><bridge name='virbr9'/>
<ip address='192.168.199.1' netmask='255.255.255.0'><dhcp><range start='192.168.199.2' end='192.168.199.9'/></dhcp></ip>
</network>"""

# Files with mode, owner and content; what runs changes the rest by itself: logs, leases, process ids, caches.
SNAPSHOT = {
    "files": r"""
find /etc /var/lib /var/log /run /usr/local \( -type f -o -type l -o -type d \) -printf '%p %y %m %u %g %l\n' |
  grep -vE '^/run/(systemd|lab|libvirt|log|dbus|udev|user|lock|xtables.lock)|^/var/lib/(systemd|libvirt/qemu)' |
  grep -vE '[.](pid|leases|status|macs)( |$)|^/etc/guestnet|^/var/log/(libvirt|journal)' | sort
find /etc /var/lib/libvirt/network /var/lib/libvirt/dnsmasq /usr/local -type f |
  grep -vE '[.](pid|leases|status|macs)$|^/etc/guestnet' | sort | xargs -d '\n' sha256sum
""",
    "rules": "nft -s list ruleset; iptables-save | grep -v ^#; ip6tables-save | grep -v ^#",
    "links": r"""
ip -o link | sed -E 's/^[0-9]*: //; s/qdisc [a-z_]*//; s/NO-CARRIER,|,LOWER_UP//; s/state [A-Z]*//' | sort
cd /sys/class/net; for l in *; do grep -H . $l/address $l/ifalias $l/mtu $l/bridge/*_delay $l/bridge/stp_state; done
ip -d -o link | grep -o '^[^:]*: [^:]*:\|promiscuity [0-9]* \|allmulti [0-9]*' | sed 's/^[0-9]*: //'
""",
    "addresses": "ip -o addr | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort",
    "routes": "(ip route show table all; ip -6 route show table all) | sed 's/expires [0-9]*sec//; s/ linkdown//' "
    "| sort; ip rule; ip -6 rule",
    "proxies": "ip neigh show proxy; ip -6 neigh show proxy",
    "sysctls": r"sysctl -a 2>/dev/null | grep ^net | grep -vE 'nf_conntrack_count|stable_secret|gc_thresh|mtu_expires'",
    "libvirt": r"""
for n in $(virsh -q net-list --all --name | sort); do virsh net-info $n; virsh net-dumpxml $n; done
for d in $(virsh -q list --all --name | sort); do
  virsh dominfo $d | grep -v -e ^Id -e '^CPU time'; virsh dumpxml --inactive $d
done
""",
    "units": "systemctl list-unit-files --no-legend; systemctl list-units --all --no-legend 'guestnet*'",
}


class World(NamedTuple):
    host: Host
    systemd: Systemd


@pytest.fixture
def world() -> Iterator[World]:
    with Lab() as lab:
        for number in (1, 2, 3, 4):
            lab.inet.plug(lab.host, f"eth{number}", f"p{number}")
        lab.host.shell(OTHERS)
        lab.host.define_network(THEIRS)
        for name, network in (("theirs", "theirs"), ("web1", "lab"), ("db", "cell"), ("b", "spare"), ("m", "tap")):
            lab.host.define_guest(name, network, memory=16)
        lab.host.virsh("start", "theirs", "--paused")
        with Systemd(lab.host) as systemd:
            yield World(lab.host, systemd)


def snapshot(world: World) -> dict[str, list[str]]:
    return {
        name: (world.systemd if name == "units" else world.host).run(["sh", "-c", script]).stdout.splitlines()
        for name, script in SNAPSHOT.items()
    }


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    found = []
    for name, lines in before.items():
        found += [f"{name} - {line}" for line in lines if line not in after[name]]
        found += [f"{name} + {line}" for line in after[name] if line not in lines]
    return found


def test_the_host_is_as_it_was(world: World) -> None:
    host, systemd = world
    host.write(FILE, ALL)
    systemd.guestnet("plan")  # iptables makes its tables when they are first looked at
    before = snapshot(world)
    systemd.guestnet("setup")
    systemd.guestnet("apply", "--yes")
    host.libvirtd.restart()
    for name in ("web1", "db", "b", "m"):
        host.virsh("start", name, "--paused")
    host.write(FILE, ALL.replace("4023:22", "4024:22").replace("domain: lab.internal", "domain: other.internal"))
    systemd.guestnet("apply", "--yes")
    systemd.guestnet("forward", "add", "web1", "4100:81")
    assert systemd.guestnet("plan", "--detailed-exitcode").returncode == 0
    host.virsh("destroy", "db")
    between = differences(before, snapshot(world))
    for what in ("memory.json", FOLDER, "90-guestnet.conf", "guestnet.service", "br1", "vlab", "proxy_arp", "-8080"):
        assert any(what in line for line in between), f"the snapshot does not see {what}"
    for name in ("web1", "b", "m"):
        host.virsh("destroy", name)
    systemd.guestnet("destroy", "--yes")
    systemd.guestnet("setup", "--remove")
    assert "\n".join(differences(before, snapshot(world))) == ""
