"""A guest that has set its address itself: its forwards follow it, by packets, and status says so."""

from __future__ import annotations

import pytest

from lab import Lab
from lab.fake import Static
from lab.process import wait_for
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

MAC = "52:54:00:00:2a:01"
FILE = f"""
networks:
  lab: {{mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}}
guests:
  web: {{network: lab, mac: "{MAC}", forwards: ["8080:80"]}}
"""


def test_followed() -> None:
    with Lab() as lab:
        host = lab.host
        apply(host, FILE)
        host.libvirtd.restart()
        host.define_guest("web", "lab", "52:54:00:99:99:99", memory=16)
        host.virsh("start", "web", "--paused")
        wait_for("the forward", lambda: "8080" in elements(host))
        plug = Static("10.9.1.77/24", "fd00:9:0:1::77/64", "10.9.1.1", "fd00:9:0:1::1")
        guest = host.fake_guest("web", "vlab", mac=MAC, plug=plug, ports=(80,))
        assert guest.probe("tcp", "203.0.113.1", 7).answered, "the host has met it"
        assert guest.probe("tcp", "2001:db8:1::1", 7).answered
        assert not lab.inet.probe("tcp", "203.0.113.2", 8080, timeout=1).answered
        said = " ".join(apply(host).split())
        assert "guest web has set its address itself, 10.9.1.77, and does not ask for 10.9.1" in said
        for address, client in (("203.0.113.2", "203.0.113.9"), ("2001:db8:1::2", "2001:db8:1::9")):
            assert lab.inet.probe("tcp", address, 8080, source=client).text == f"web tcp 80 from {client}"
        assert "(it has 10.9.1.77)" in host.guestnet("status").stdout
        assert "Nothing to do" in host.guestnet("plan").stdout
