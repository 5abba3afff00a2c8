"""[::1] of the host, which nothing can translate: systemd's own socket proxy, by packets, under a real systemd."""

from __future__ import annotations

import signal

import pytest

from lab import Lab
from lab.fake import Static
from lab.process import wait_for
from lab.systemd import Systemd
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab

TEXT = """
networks:
  lab: {mode: nat, bridge: vlab, stp: false, ipv4: 10.9.1.1/24, ipv6: "fd00:9:0:1::1/64"}
  four: {mode: nat, bridge: vfour, stp: false, ipv4: 10.9.4.1/24, ipv6: none}
guests:
  web:
    network: lab
    ipv4: 10.9.1.10
    ipv6: "::10"
    forwards: [{ports: 8080-8081, to: 80-81, protocol: tcp+udp, loopback: true}]
  old: {network: four, ipv4: 10.9.4.10, forwards: [{ports: 9090, to: 80, loopback: true}]}
"""
UNITS = "ls /etc/systemd/system | grep loopback || true"


def test_the_hosts_own_ipv6_loopback() -> None:
    with Lab() as lab:
        host = lab.host
        host.write(FILE, TEXT)
        assert "systemd does not run here" in " ".join(host.guestnet("plan").stdout.split())
        with Systemd(host) as systemd:
            for address, blocks in (("::1", True), ("::", True), ("127.0.0.1", False)):
                service = host.popen(["/usr/bin/python3", "-m", "http.server", "--bind", address, "8080"])
                wait_for("the service", lambda: ":8080" in host.run(["ss", "-ltn"]).stdout)
                planned = " ".join(systemd.guestnet("plan", check=False).stdout.split())
                assert ("problem: port 8080 of [::1] is served by a process of the host" in planned) == blocks, address
                if not blocks:
                    assert "port 8080/tcp at 127.0.0.1 is served by a process of the host" in planned
                host.send_signal(service, signal.SIGTERM)
                service.wait(timeout=5)
            said = systemd.guestnet("apply", "--yes").stdout
            assert "guestnet-loopback-8080.socket, which serves [::1]:8080" in said
            assert "sees the host as client of what comes by its loopback" in " ".join(said.split())
            assert "UDP to [::1] is not served" in " ".join(said.split())
            web = Static("10.9.1.10/24", "fd00:9:0:1::10/64", "10.9.1.1", "fd00:9:0:1::1")
            host.fake_guest("web", "vlab", plug=web, ports=(80, 81)).wait_addresses()
            old = host.fake_guest("old", "vfour", plug=Static("10.9.4.10/24", None, "10.9.4.1", None))
            old.wait_addresses(v6=False)
            assert host.probe("tcp", "::1", 8080).text.startswith("web tcp 80 from ")
            assert host.probe("tcp", "::1", 8081).text.startswith("web tcp 81 from ")
            assert host.probe("tcp", "::1", 9090).text == "old tcp 80 from 10.9.4.1", "a guest without IPv6"
            assert "Nothing to do" in systemd.guestnet("plan").stdout

            host.write(FILE, TEXT.replace('"::10"', '"::11"'))
            assert "guestnet-loopback-8080" in systemd.guestnet("apply", "--yes").stdout
            new = Static("10.9.1.10/24", "fd00:9:0:1::11/64", "10.9.1.1", "fd00:9:0:1::1")
            host.fake_guest("new", "vlab", plug=new, ports=(80,)).wait_addresses()
            wait_for("the new address", lambda: host.probe("tcp", "::1", 8080).peer == "new")

            systemd.systemctl("stop", "guestnet-loopback-8081.socket")
            assert "guestnet-loopback-8081" in systemd.guestnet("plan").stdout, "what somebody stopped is drift"
            host.write(FILE, TEXT.replace(", loopback: true", ""))
            systemd.guestnet("apply", "--yes")
            assert host.probe("tcp", "::1", 8080).kind == "refused"
            assert host.shell(UNITS).stdout == ""
            host.write(FILE, TEXT)
            systemd.guestnet("apply", "--yes")
            systemd.guestnet("destroy", "--yes")
            assert host.shell(UNITS).stdout == ""
