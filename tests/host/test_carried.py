"""Guests' taps through the end of a bridge and the beginning of another, as libvirt does it, here by `ip`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from guestnet.host import carry
from lab import Lab
from lab.cache import REPOSITORY

pytestmark = pytest.mark.lab

WORLD = """
ip link add br9 type bridge stp_state 0
ip link set br9 address 52:54:00:82:d7:36
ip addr add 10.9.1.1/24 dev br9
ip addr add fd00:9::1/64 dev br9 nodad
ip link add tap9 type veth peer name guest9
ip link set guest9 up
ip link set tap9 master br9 up
ip link set br9 up
ip neigh add 10.9.1.2 dev br9 lladdr 52:54:00:00:00:02 nud reachable
"""
RESTART = """
import json, subprocess, time
from ipaddress import ip_network
from guestnet.host import carry

def ip(line):
    return subprocess.run(["ip", *line.split()], check=True, capture_output=True, text=True).stdout

def until(line, *words):
    for _ in range(200):
        if all(word in ip(line) for word in words):
            return
        time.sleep(0.01)
    raise SystemExit(f"{line}: {ip(line)} has not {words}")

def look():
    return {name: ip(f"-d {what}") for name, what in LOOK.items()}

LOOK = {"bridge": "link show br9", "tap": "link show tap9", "neighbours": "neigh show dev br9",
        "routes": "route show dev br9", "addresses": "-6 addr show dev br9"}
after = carry.Made("br9", True, (ip_network("10.9.1.0/24"), ip_network("fd00:9::/64")), ["gone9", "tap9"], {"tap9"})
told = {}
with carry.carried("br9", after):
    ip("link set br9 down")
    until("link show br9", ",UP")
    until("neigh show dev br9", "10.9.1.2")
    told["old"] = look()
    ip("link delete br9")
    ip("link add br9 type bridge")
    open("/proc/sys/net/ipv6/conf/br9/autoconf", "w").write("0")
    ip("link set br9 type bridge stp_state 1")
    until("route show dev br9", "metric")
    until("-6 route show dev br9", "9999")
    told["new"] = look()
told["end"] = look()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    with Lab(libvirtd=False) as lab:
        lab.host.shell(WORLD)
        yield json.loads(lab.host.run([REPOSITORY / ".venv/bin/python", "-c", RESTART]).stdout)


def test_the_bridge_that_was_set_down_goes_on(told: dict[str, Any]) -> None:
    old = told["old"]
    assert "state forwarding" in old["tap"], "no waiting for STP"
    assert "10.9.1.0/24" in old["routes"]
    assert "fd00:9::1/64" in old["addresses"]
    assert "fe80::5054:ff:fe82:d736" in old["addresses"]
    assert "52:54:00:00:00:02" in old["neighbours"]


def test_the_new_one_has_the_guests_before_it_has_addresses(told: dict[str, Any]) -> None:
    new = told["new"]
    assert "master br9" in new["tap"]
    assert "state forwarding" in new["tap"], "no waiting for STP"
    assert "isolated on" in new["tap"]
    assert "stp_state 1" in new["bridge"]
    assert f"10.9.1.0/24 proto static scope link metric {carry.LAST}" in new["routes"]
    assert "52:54:00:00:00:02" in new["neighbours"]


def test_its_own_routes_go(told: dict[str, Any]) -> None:
    assert told["end"]["routes"] == ""
    assert "master br9" in told["end"]["tap"]
