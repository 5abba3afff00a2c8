"""Forwards to ports of one guest that overlap, where its own address is global and closed: all are in force, and one
that goes leaves the others open. By packets."""

from __future__ import annotations

import pytest

from lab import Lab
from lab.fake import Static
from lab.process import wait_for
from tests.live.conftest import FILE as PATH
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "2001:db8:66:1::1/64", nat: {ipv6: false}}
  pub: {mode: routed, bridge: vpub, stp: false, ipv4: 198.51.100.1/24, ipv6: none, inbound: closed}
guests:
  web:
    network: lab
    ipv4: 10.9.1.10
    ipv6: "::10"
    forwards:
      - 7000-7010:80-90
      - 8085:85/tcp
      - {ports: 9001, to: 91, from: "2001:db8::/32"}
      - {ports: 9002, to: 91, from: "2001:db8:1::/64"}
  www: {network: pub, ipv4: 198.51.100.10, forwards: ["8000-8010:80-90", "9085:85"]}
"""
CLIENT, OWN6, OWN4 = "2001:db8:1::9", "2001:db8:66:1::10", "198.51.100.10"


def test_all_of_them_are_in_force() -> None:
    with Lab() as lab:
        host = lab.host
        apply(host, FILE)
        host.libvirtd.restart()
        lab.inet.shell(
            "ip -6 route add 2001:db8:66::/48 via 2001:db8:1::2; ip route add 198.51.100.0/24 via 203.0.113.2"
        )
        for name, network in (("web", "lab"), ("www", "pub")):
            host.define_guest(name, network, memory=16)
            host.virsh("start", name, "--paused")
        wait_for("the hook", lambda: "9001" in elements(host) and "9085" in elements(host))
        plug = Static("10.9.1.10/24", f"{OWN6}/64", "10.9.1.1", "2001:db8:66:1::1")
        host.fake_guest("web", "vlab", plug=plug, ports=(80, 85, 91))
        host.fake_guest("www", "vpub", plug=Static(f"{OWN4}/24", None, "198.51.100.1"), ports=(85,))
        assert "Nothing to do" in apply(host)

        def reached(address: str, port: int) -> bool:
            return lab.inet.probe("tcp", address, port, source=CLIENT if ":" in address else "203.0.113.9").answered

        assert all(reached(OWN6, port) for port in (80, 85, 91))
        assert all(reached("2001:db8:1::2", port) for port in (7000, 7005, 8085, 9001, 9002))
        assert all(reached(*way) for way in ((OWN4, 85), ("203.0.113.2", 8005), ("203.0.113.2", 9085)))

        # One of two that overlap goes: the other's ports stay open, and no others.
        host.guestnet("forward", "remove", "web", "8085")
        assert reached(OWN6, 85)
        host.guestnet("forward", "add", "web", "8085:85")
        host.guestnet("forward", "remove", "web", "7000-7010:80-90")
        assert [reached(OWN6, port) for port in (80, 85, 91)] == [False, True, True]
        host.guestnet("forward", "remove", "web", "9001")
        assert reached(OWN6, 91), "from the narrower network"
        host.guestnet("forward", "remove", "web", "9002")
        assert not reached(OWN6, 91)
        host.write(PATH, FILE)
        apply(host)
        assert all(reached(OWN6, port) for port in (80, 85, 91))
        assert "Nothing to do" in apply(host)
