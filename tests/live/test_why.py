"""`why` names the planted cause: each fault of the matrix's tests, and those that are no rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.process import wait_for
from tests.live.conftest import ADMIT, apply, elements
from tests.live.test_reach import LEFT, UPSTREAM

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: virbr1, stp: false, ipv4: 10.66.1.1/24, ipv6: "fd00:66:1::1/64"}
  cell: {mode: isolated, bridge: virbr3, stp: false, ipv4: 10.66.3.1/24, ipv6: "fd00:66:3::1/64"}
  dmz: {mode: routed, bridge: virbr4, stp: false, ipv4: 198.51.100.1/25, ipv6: "2001:db8:66:4::1/64"}
  apart: {mode: nat, bridge: virbr6, stp: false, ipv4: 10.66.6.1/24, ipv6: none, guest_isolation: true}
guests:
  web1: {network: lab, mac: "52:54:00:12:34:56", ipv4: 10.66.1.10, ipv6: "::10", forwards: ["4023:22/tcp+udp"]}
"""


class World(NamedTuple):
    lab: Lab
    web1: FakeGuest

    def why(self, *words: str) -> dict[str, Any]:
        """What is said of each family, by `ipv4` and `ipv6`."""
        done = self.lab.host.guestnet("--format", "json", "why", *words, check=False)
        assert done.stdout, done.stderr
        found = {one["family"]: one for one in json.loads(done.stdout)}
        assert done.returncode == int(not all(one["reached"] for one in found.values()))
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.inet.shell(UPSTREAM)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", "52:54:00:99:99:99", memory=16)
        lab.host.virsh("start", "web1", "--paused")
        wait_for("the forwards", lambda: "4023" in elements(lab.host))
        static = Static("10.66.1.10/24", "fd00:66:1::10/64", "10.66.1.1", "fd00:66:1::1")
        yield World(lab, lab.host.fake_guest("web1", "virbr1", plug=static))


def test_it_gets_through_and_how(world: World) -> None:
    before = world.lab.host.shell(LEFT).stdout
    for by_forward in (("internet", "web1", "4023"), ("internet", "web1", "4023/udp"), ("dmz", "web1", "4023")):
        for found in world.why(*by_forward).values():
            assert found["reached"], found
            way = "\n".join(found["way"])
            assert "guestnet's inet guestnet forwards_any" in way
            assert "dnat" in way
            assert 'oif "virbr1"' in way
    for words in (("lab", "internet"), ("lab", "host"), ("lab", "lab"), ("host", "web1", "22"), ("internet", "dmz")):
        assert all(found["reached"] for found in world.why(*words).values()), words
    assert world.lab.host.shell(LEFT).stdout == before, "nothing is left behind"
    assert world.lab.host.run(["nft", "list", "tables", "inet"]).stdout.split() == ["table", "inet", "guestnet"]


def test_text_for_people(world: World) -> None:
    done = world.lab.host.guestnet("why", "cell", "internet", check=False)
    assert done.returncode == 1
    assert "10.66.3." in done.stdout
    assert "-> 203.0.113.1 ping" in done.stdout
    assert "it does not get through: dropped by guestnet's rule in table inet guestnet, chain forward" in done.stdout
    assert "what to do: " in done.stdout


def test_our_own_rules(world: World) -> None:
    for words, rule in (
        (("cell", "host"), "chain guarded: drop"),
        (("cell", "dmz", "80"), "chain forward: iifname @isolated drop"),
        (("dmz", "lab", "80"), "oifname @closed"),
        (("dmz", "cell"), "oifname @isolated drop"),
    ):
        for found in world.why(*words).values():
            assert "guestnet's rule in table inet guestnet" in found["cause"], found
            assert rule in found["cause"], found


def test_what_is_no_rule(world: World) -> None:
    assert "guest_isolation" in world.why("apart", "apart")["ipv4"]["cause"]
    for found in world.why("internet", "host", "9").values():
        assert "nothing listens on tcp 9" in found["cause"]
        assert not found["reached"]
    for found in world.why("lab", "web1", "9").values():
        assert found["reached"], "it arrived"
        assert "nothing listens on tcp 9" in found["cause"]
    assert "nobody in the network has 10.66.1.77" in world.why("lab", "10.66.1.77")["ipv4"]["cause"]
    nowhere = world.lab.host.guestnet("why", "lab", "192.0.2.1", check=False)
    assert "it left the host" not in nowhere.stdout


def test_our_table_deleted(world: World) -> None:
    world.lab.host.run(["nft", "delete", "table", "inet", "guestnet"])
    try:
        for found in world.why("internet", "web1", "4023").values():
            assert "nothing listens on tcp 4023" in found["cause"]
            assert "firewall table inet guestnet" in found["todo"]
            assert "guestnet apply" in found["todo"]
    finally:
        apply(world.lab.host)


def test_a_foreign_drop(world: World) -> None:
    rules = 'table ip other {\nchain c { type filter hook forward priority -10;\niifname "virbr1" drop\n}\n}\n'
    world.lab.host.run(["nft", "-f", "-"], input=rules)
    try:
        found = world.why("lab", "internet")
        assert found["ipv4"]["cause"] == 'dropped by somebody\'s rule in table ip other, chain c: iifname "virbr1" drop'
        assert found["ipv6"]["reached"]
    finally:
        world.lab.host.run(["nft", "delete", "table", "ip", "other"])


def test_the_policy_and_libvirts_chains(world: World) -> None:
    host = world.lab.host
    host.shell("iptables -P FORWARD DROP; iptables -D FORWARD -j LIBVIRT_FWO; iptables -t nat -F LIBVIRT_PRT")
    try:
        found = world.why("dmz", "internet")["ipv4"]
        assert found["cause"] == "dropped by iptables' policy in table ip filter, chain FORWARD: policy drop"
        assert "iptables -P FORWARD ACCEPT" in found["todo"]
        host.run(["iptables", "-P", "FORWARD", "ACCEPT"])
        found = world.why("lab", "internet")["ipv4"]
        assert "no rule translated it" in found["cause"]
        assert "restart libvirtd" in found["todo"]
    finally:
        host.run(["iptables", "-P", "FORWARD", "ACCEPT"])
        host.libvirtd.restart()
        apply(host)


def test_forwarding_off(world: World) -> None:
    world.lab.host.sysctl("ipv4/ip_forward", 0)
    try:
        found = world.why("lab", "internet")
        assert found["ipv4"]["cause"] == "forwarding is off (net.ipv4.ip_forward = 0)"
        assert found["ipv6"]["reached"]
    finally:
        world.lab.host.sysctl("ipv4/ip_forward", 1)


def test_the_admit_rule_removed(world: World) -> None:
    world.lab.host.run(["iptables", "-D", "FORWARD", *ADMIT])
    try:
        found = world.why("internet", "web1", "4023")
        assert "libvirt's rule in table ip filter, chain LIBVIRT_FWI" in found["ipv4"]["cause"]
        assert "guestnet apply" in found["ipv4"]["todo"]
        assert found["ipv6"]["reached"]
    finally:
        apply(world.lab.host)


def test_the_guests_own_firewall_and_a_guest_that_is_off(world: World) -> None:
    world.web1.run(
        ["nft", "-f", "-"], input="table inet x {\nchain i { type filter hook input priority 0;\ndrop\n}\n}\n"
    )
    try:
        found = world.why("internet", "web1", "4023")["ipv4"]
        assert "passed on to 10.66.1.10, and no answer came back" in found["cause"]
        assert "guest's own firewall" in found["todo"]
    finally:
        world.web1.run(["nft", "flush", "ruleset"])
    world.lab.host.run(["ip", "link", "set", world.web1.port, "down"])
    world.lab.host.run(["ip", "neigh", "flush", "dev", "virbr1"])
    try:
        assert "nobody has 10.66.1.10 there" in world.why("internet", "web1", "4023")["ipv4"]["cause"]
    finally:
        world.lab.host.run(["ip", "link", "set", world.web1.port, "up"])


def test_the_router_upstream_has_no_route(world: World) -> None:
    world.lab.inet.run(["ip", "route", "del", "198.51.100.0/24"])
    try:
        found = world.why("dmz", "internet")["ipv4"]
        assert "no answer came back" in found["cause"]
        assert "does the router upstream have a route" in found["todo"]
    finally:
        world.lab.inet.run(["ip", "route", "add", "198.51.100.0/24", "via", "203.0.113.2"])


def test_wrong_questions(world: World) -> None:
    for words, said in (
        (("nobody", "host"), "nobody knows nobody (write internet, host, an address, or one of"),
        (("lab", "host", "http"), "http is not a port"),
        (("lab", "host", "70000"), "70000 is not a port"),
    ):
        done = world.lab.host.guestnet("why", *words, check=False)
        assert done.returncode == 1
        assert said in done.stderr
