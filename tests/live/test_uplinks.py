"""Hosts with IPv6 only, and with private IPv4 and public IPv6: guests get out as the host, in each family that it has,
with source ports from the range; they are reached by forwards; the host keeps its own IPv6; and what is said of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.guest import RealGuest
from lab.host import PRIVATE4, Host
from lab.namespace import Namespace
from lab.process import wait_for
from lab.router import WAN4
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

MAC = "52:54:00:12:34:56"
PORTS = range(50000, 51000)
FILE = f"""
networks:
  lab:
    mode: nat
    bridge: virbr1
    stp: false
    ipv4: 10.66.1.1/24
    ipv6: "fd00:66:1::1/64"
    nat: {{ipv6: true, ports: {PORTS[0]}-{PORTS[-1]}}}
guests:
  web1: {{network: lab, mac: "{MAC}", forwards: ["4023:22", "4080:80/tcp+udp"]}}
"""
FAKE = Static("10.66.1.200/24", "fd00:66:1::200/64", "10.66.1.1", "fd00:66:1::1")
INTERNET = {4: "203.0.113.1", 6: "2001:db8:1::1"}
LISTENING = 9000
# Says whom it sees, with the port: the lab's echo service tells the address only.
WATCH = f"""
import socket, threading
def tcp():
    server = socket.create_server(("::", {LISTENING}), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        one, peer = server.accept()
        one.sendall(f"inet tcp {LISTENING} from {{peer[0]}}\\n".encode())
        print("tcp", *peer[:2], flush=True)
        one.close()
def udp():
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", {LISTENING}))
    while True:
        _, peer = server.recvfrom(999)
        server.sendto(b"heard", peer)
        print("udp", *peer[:2], flush=True)
threading.Thread(target=udp, daemon=True).start()
tcp()
"""


class World(NamedTuple):
    lab: Lab
    real: RealGuest
    fake: FakeGuest
    uplink: str

    @property
    def host(self) -> Host:
        return self.lab.host

    @property
    def families(self) -> tuple[int, ...]:
        return (6,) if self.uplink == "ipv6" else (4, 6)

    @property
    def known(self) -> dict[int, str]:
        """What the internet knows the host by."""
        v4 = {"ra": "203.0.113.2", "nat44": WAN4}.get(self.uplink)
        return {6: self.host.ipv6} | ({4: v4} if v4 else {})

    def outside(self, family: int) -> tuple[Namespace, str]:
        """Somebody outside, and the host's address that it can ask for: behind NAT44 only who is in the LAN."""
        if family == 4:
            return (self.lab.router, PRIVATE4) if self.uplink == "nat44" else (self.lab.inet, "203.0.113.2")
        return self.lab.inet, self.host.ipv6


@pytest.fixture(scope="module", params=["ra", "ipv6", "nat44"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Lab(uplink=request.param) as lab:
        assert lab.host.sysctl("ipv6/conf/all/forwarding") == "0"
        apply(lab.host, FILE)
        lab.host.libvirtd.restart()
        real = lab.host.define_guest("web1", "lab", MAC)
        real.start()
        fake = lab.host.fake_guest("near", "virbr1", plug=FAKE)
        real.wait_addresses()
        yield World(lab, real, fake, request.param)


@contextlib.contextmanager
def watched(lab: Lab) -> Iterator[list[str]]:
    """Whom the internet saw, filled in at the end: `tcp ADDRESS PORT`."""
    seen: list[str] = []
    process = lab.inet.popen(["/usr/bin/python3", "-u", "-c", WATCH])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield seen
    finally:
        process.kill()
        seen += process.communicate()[0].splitlines()


@pytest.mark.parametrize("who", ["real", "fake"])
def test_guests_get_out_as_the_host(world: World, who: str) -> None:
    guest: RealGuest | FakeGuest = world.real if who == "real" else world.fake
    with watched(world.lab) as seen:
        for family in world.families:
            for protocol in ("tcp", "udp"):
                # the UDP's greeting is no echo of the lab's: what counts is who was seen
                guest.probe(protocol, INTERNET[family], LISTENING)
        if 4 not in world.families:
            assert not guest.probe("tcp", INTERNET[4], LISTENING).answered
    found = [line.split() for line in seen]
    told = {(protocol, ip_address(address.removeprefix("::ffff:"))) for protocol, address, _ in found}
    assert told == {
        (protocol, ip_address(world.known[family])) for protocol in ("tcp", "udp") for family in world.families
    }
    assert all(int(port) in PORTS for _, _, port in found), found


def test_guests_are_reached_by_forwards(world: World) -> None:
    for family in world.families:
        asker, address = world.outside(family)
        for protocol in ("tcp", "udp"):
            assert asker.probe(protocol, address, 4080).text.startswith(f"web1 {protocol} 80 from ")
        assert asker.probe("tcp", address, 4023).peer == "web1"


def test_the_host_keeps_its_own(world: World) -> None:
    host = world.host
    assert "proto ra" in host.run(["ip", "-6", "route", "show", "default"]).stdout
    assert host.sysctl("ipv6/conf/up0/accept_ra") == "2"
    assert host.sysctl("ipv6/conf/all/forwarding") == "1"
    assert host.probe("tcp", INTERNET[6], 7).text == f"inet tcp 7 from {host.ipv6}"
    assert host.probe("tcp", INTERNET[4], 7).answered == (4 in world.families)


def reach(world: World, *args: str) -> dict[tuple[str, str, str], tuple[str, str | None, bool | None]]:
    done = world.host.guestnet("--format", "json", "reach", *args, check=False)
    found = json.loads(done.stdout)["cells"]
    assert done.returncode == int(any(one["as_predicted"] is False for one in found)), done.stdout + done.stderr
    return {
        (one["from"]["kind"], one["to"]["kind"], one["family"]): (
            one["predicted"],
            one["measured"],
            one["as_predicted"],
        )
        for one in found
    }


def test_measured_as_predicted(world: World) -> None:
    """Nothing is red, and what cannot be measured is said, not guessed."""
    targets = [word for family in (4, 6) for word in ("--target", INTERNET[family])]
    found = reach(world, "--probe", *targets)
    assert all(right is not False for _, _, right in found.values())
    unmeasured = {way for way, (_, measured, _) in found.items() if measured is None}
    v4 = "yes" if 4 in world.families else "no"
    assert found["network", "internet", "ipv4"] == (v4, v4, True)
    assert found["network", "internet", "ipv6"] == ("yes", "yes", True)
    assert found["internet", "network", "ipv6"] == ("forwards", "forwards", True)
    if 4 in world.families:
        assert not unmeasured
    else:
        assert unmeasured == {("internet", "network", "ipv4")}
        assert found["internet", "network", "ipv4"][0] == "no"


def test_nothing_is_wrong(world: World) -> None:
    done = world.host.guestnet("--format", "json", "doctor", check=False)
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert not [check for check in found.values() if check["verdict"] == "wrong"]
    uplink = found["IPv6 uplink"]
    assert uplink["verdict"] == "fine"
    assert world.host.ipv6 in uplink["evidence"]
    assert "router advertisement, for " in uplink["evidence"]
    assert "answers" in uplink["evidence"]
    assert "valid for " in found["IPv6 for guests: NDP proxy"]["evidence"]
    assert {
        name: found[f"IPv6 for guests: {name}"]["verdict"] for name in ("NDP proxy", "NAT66", "a routed prefix")
    } == {
        "NDP proxy": "fine",
        "NAT66": "fine",
        "a routed prefix": "look",
    }


def test_the_plan_says_what_the_uplink_is(world: World) -> None:
    out = world.host.guestnet("plan").stdout
    said = {"ra": "IPv4, IPv6", "ipv6": "IPv6", "nat44": "IPv4 private, IPv6"}[world.uplink]
    assert f"uplink up0: {said} (router advertisement)" in out
    assert "Nothing to do" in out


@pytest.mark.parametrize("way", [("internet", "web1", "4023"), ("web1", "internet", "7")])
def test_why_says_the_same(world: World, way: tuple[str, str, str]) -> None:
    """In a family that the host has no uplink of, nobody is said to come in or to get out."""
    target = [word for family in (4, 6) for word in ("--target", INTERNET[family])] if way[1] == "internet" else []
    done = world.host.guestnet("--format", "json", "why", *way, *target, check=False)
    found = {one["family"]: one for one in json.loads(done.stdout)}
    assert found["ipv6"]["reached"], found["ipv6"]
    v4 = found.get("ipv4")
    if 4 in world.families:
        assert v4 is not None
        assert v4["reached"]
    else:
        assert v4 is None or not v4["reached"]


def test_a_dead_uplink_is_told(world: World) -> None:
    """Last, as it goes: the router neither answers nor says that it is gone."""
    router: Namespace = world.lab.router if world.uplink == "nat44" else world.lab.inet
    chain = "{ type filter hook prerouting priority 0; }"
    rule = "add rule bridge dead drops ether type ip6 drop"
    router.shell(f"nft 'add table bridge dead; add chain bridge dead drops {chain}; {rule}'")
    try:
        done = world.host.guestnet("reach", "--probe", check=False)
        assert done.returncode == 1
        said = " ".join(done.stdout.split())
        assert "lab -> internet, v6: predicted yes, measured no. First broken hop: the host's own IPv6 uplink" in said
        assert "does not work: the router fe80::" in said
        assert said.count("First broken hop") == 1, "IPv4 is as it was"
        doctor = world.host.guestnet("--format", "json", "doctor", check=False)
        check = next(check for check in json.loads(doctor.stdout) if check["name"] == "IPv6 uplink")
        assert (doctor.returncode, check["verdict"]) == (1, "wrong")
        assert "does not answer" in check["evidence"]
    finally:
        router.shell("nft delete table bridge dead")
    wait_for("the router", lambda: world.host.probe("tcp", INTERNET[6], 7).answered, timeout=15)
