"""The same file, however it is written, is the same host; and a file that comes back finds the host it had."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from lab import Lab
from lab.host import Host
from tests.live.conftest import FILE, apply

pytestmark = pytest.mark.lab

PLAIN = """
networks:
  lab:
    mode: nat
    bridge: vlab
    ipv4: 10.9.1.1/24
    ipv6: fd00:9:0:1::1/64
    nat:
      ports: 50000-65535
  cell:
    mode: isolated
    ipv4: auto
    ipv6: auto
guests:
  one:
    network: lab
    mac: 52:54:00:00:0e:01
    ipv4: 10.9.1.10
    ipv6: ::10
    forwards:
      - 8080:80
      - 203.0.113.2:5353:53/udp
      - 9000-9002:7000-7002/tcp+udp
  two:
    network: lab
  three:
    network: cell
"""
# Networks, guests, keys and forwards in another order; flow style, quotes, comments; long forms for short ones.
OTHERWISE = """
# what is said here is said in PLAIN
"guests":
  three: {nics: [{network: cell}]}   # the only one of its kind
  'two': {network: "lab", forwards: []}
  one:
    forwards:
      - {to: 7000-7002, ports: "9000-9002", protocol: tcp+udp, listen: any, family: both}
      - ports: 5353
        to: 53
        listen: [203.0.113.2]
        protocol: udp
        enabled: true
        network: lab
      - {ports: 8080, to: 80, protocol: tcp}
    nics: [{network: lab, ipv6: 'fd00:9:0:1:0:0:0:10', ipv4: 10.9.1.10, mac: "52:54:00:00:0E:01"}]
"networks":
  "cell": {stp: true, ipv6: auto, host_access: none, mode: isolated, autostart: true}
  lab:
    nat: {ports: 50000-65535, ipv6: true}
    ipv6: {address: "fd00:9:0:1:0::1/64", dhcp: true, ranges: ["::10-::ff"]}
    ipv4: {address: 10.9.1.1/24, dhcp: true, ranges: [10.9.1.2-10.9.1.254]}
    bridge: vlab
    mode: nat
"""
REMEMBERED = """
networks:
  lab: {mode: nat}
  cell: {mode: isolated, host_access: services}
guests:
  one: {network: lab, mac: "52:54:00:00:0e:01", forwards: ["8080:80/tcp+udp"]}
  two: {network: lab, mac: "52:54:00:00:0e:02"}
  three: {network: cell, mac: "52:54:00:00:0e:03"}
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)  # libvirt and iptables make their own chains at the first look
        yield lab


def test_written_otherwise_it_is_the_same(lab: Lab) -> None:
    for first, other in ((PLAIN, OTHERWISE), (OTHERWISE, PLAIN)):
        apply(lab.host, first)
        lab.host.write(FILE, other)
        plan = lab.host.guestnet("plan", "--detailed-exitcode", check=False)
        assert plan.returncode == 0, plan.stdout
        assert "Nothing to do" in apply(lab.host)
    # Shows that it can fail: one port, deep in it, is another.
    lab.host.write(FILE, OTHERWISE.replace("to: 53", "to: 54"))
    assert lab.host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 2


def test_all_of_it_leaves_the_file_and_comes_back(lab: Lab) -> None:
    """Everything in it is chosen by guestnet: subnets, bridges, their MACs, guests' addresses, both families."""
    before = touched(lab.host)
    apply(lab.host, REMEMBERED)
    there = touched(lab.host)
    shown = lab.host.guestnet("show").stdout
    assert all(f"reservations/{name} 52:54:00:00:0e:0" in there for name in ("one", "two", "three"))
    assert len(set(re.findall(r"<mac address='([0-9a-f:]+)'", there))) == 2, "a bridge has a MAC"
    assert len(set(re.findall(r"fd[0-9a-f:]+::1(?=')", there))) == 2, "a network has a ULA"

    # From here on other values would be drawn by chance: only the memory can bring these back.
    lab.host.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    apply(lab.host, "networks: {}\nguests: {}\n")
    assert touched(lab.host) == before
    assert lab.host.exists("/var/lib/guestnet/memory.json")
    apply(lab.host, REMEMBERED.replace("two:", "zwei:").replace("0e:02", "0e:04"))
    assert "reservations/two" not in touched(lab.host)

    apply(lab.host, REMEMBERED)
    assert touched(lab.host) == there
    assert lab.host.guestnet("show").stdout == shown
    # The host's own /48 is remembered beside the networks' prefixes: a new network's is in it.
    apply(lab.host, REMEMBERED.replace("guests:", "  new: {mode: nat}\nguests:"))
    ulas = {
        ip_network((address, 48), strict=False) for address in re.findall(r"fd[0-9a-f:]+::1(?=')", touched(lab.host))
    }
    assert len(ulas) == 1


def touched(host: Host) -> str:
    """Everything of the host that an apply changes, but the memory, and the hooks: they stay for the next network."""
    script = """
    cd /var/lib/libvirt/dnsmasq; for f in guestnet-*/*; do [ ! -e $f ] || echo "reservations/${f#*/} $(cat $f)"; done
    for f in $(find /etc/sysctl.d /var/lib/guestnet/compiled -type f 2>/dev/null | sort); do
      echo "$f $(sha256sum < $f)"; done
    for n in $(virsh -q net-list --all --name); do virsh net-dumpxml $n; virsh net-dumpxml $n --inactive; done
    nft -s list tables inet; nft -s list table inet guestnet 2>/dev/null || true
    iptables -S | grep -v LIBVIRT || true; ip6tables -S | grep -v LIBVIRT || true
    for nic in /sys/class/net/*; do echo $nic; done
    cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/*/accept_ra
    """
    return re.sub("<uuid>.*</uuid>", "", host.run(["sh", "-c", script]).stdout)
