"""`why` names the planted cause: each fault of the matrix's tests, and those that are no rule."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.host import GUESTNET, Host
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
  spare: {mode: bridge, bridge: br1, interface: eth1}
  tap: {mode: macvtap, interface: eth2}
  own: {mode: macvtap, interface: up0}
  lonely: {mode: macvtap, interface: eth2, macvtap: private}
  tight: {mode: nat, bridge: virbr7, stp: false, ipv4: 10.66.7.1/24, ipv6: none, egress: {deny: [203.0.113.0/28]}}
  wan: {mode: routed, bridge: virbr8, stp: false, ipv4: 198.51.101.1/25, ipv6: none, uplink: eth2}
guests:
  web1:
    network: lab
    mac: "52:54:00:12:34:56"
    ipv4: 10.66.1.10
    ipv6: "::10"
    forwards: ["4023:22/tcp+udp", {ports: 4024, to: 22, from: [198.51.100.0/24], family: ipv4}]
  web2: {network: lab, mac: "52:54:00:12:34:57", ipv4: 10.66.1.11, ipv6: "::11", forwards: ["4025:22"]}
  only4: {network: apart, mac: "52:54:00:12:34:58", ipv4: 10.66.6.10}
  outside1: {network: spare}
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
        for number in (1, 2):
            lab.inet.plug(lab.host, f"eth{number}", f"p{number}")
        lab.host.run(["ip", "link", "set", "eth2", "up"])
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
            assert re.search(r"guestnet's inet guestnet forwards[46]: dnat", way)
            assert "dnat" in way
            assert "route 10.66.1.10 dev virbr1" in way or "route fd00:66:1::10 dev virbr1" in way
            assert "-> 10.66.1.10 port 22" in way or "-> fd00:66:1::10 port 22" in way
            assert "virbr1 out: " in way
            assert way.endswith("(web1) answered")
            assert (found["rule"], found["todo"]) == (None, "")
    for words in (("lab", "internet"), ("lab", "host"), ("lab", "lab"), ("host", "web1", "22"), ("internet", "dmz")):
        assert all(found["reached"] for found in world.why(*words).values()), words
    assert world.lab.host.shell(LEFT).stdout == before, "nothing is left behind"
    assert world.lab.host.run(["nft", "list", "tables", "inet"]).stdout.split() == ["table", "inet", "guestnet"]


def test_text_for_people(world: World) -> None:
    done = world.lab.host.guestnet("why", "cell", "internet", check=False)
    assert done.returncode == 1
    first, second = done.stdout.split("\n\n")
    assert first.splitlines() == [
        "10.66.3.254 -> 203.0.113.1 ping",
        "  virbr3      in: 10.66.3.254 -> 203.0.113.1",
        "  route       203.0.113.1 dev up0",
        "  guestnet's  inet guestnet forward: iifname @isolated drop   <- dropped here",
        "it does not get through: dropped by guestnet's rule in table inet guestnet, chain forward: "
        "iifname @isolated drop",
        "what to do: the file wants it so: isolated: nothing leaves the network",
    ]
    assert second.startswith("fd00:66:3:")


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
            assert found["todo"].startswith(
                ("the file wants it so: ", "the file admits forwards, only 4023/tcp -> web1:22")
            )
            assert (found["rule"]["owner"], found["rule"]["table"]) == ("guestnet", "inet guestnet")


def test_what_is_no_rule(world: World) -> None:
    assert "guest_isolation" in world.why("apart", "apart")["ipv4"]["cause"]
    for found in world.why("internet", "host", "9").values():
        assert "it arrived at the host, and nothing listens on tcp 9" in found["cause"]
    for found in world.why("lab", "web1", "9").values():
        assert "(web1), and nothing listens on tcp 9 there" in found["cause"]
    for found in world.why("lab", "lab", "9").values():
        assert found["reached"], "the end stands for whoever may be there"
    assert "nobody in the network has 10.66.1.77" in world.why("lab", "10.66.1.77")["ipv4"]["cause"]


def test_no_route(world: World) -> None:
    world.lab.host.run(["ip", "route", "add", "unreachable", "192.0.2.0/24"])
    try:
        found = world.why("lab", "192.0.2.7")["ipv4"]
        assert found["cause"] == "the host has no route to 192.0.2.7 (no route to host)"
        assert found["way"][-1] == "route none: no route to host"
    finally:
        world.lab.host.run(["ip", "route", "del", "unreachable", "192.0.2.0/24"])


def test_the_reverse_path_filter(world: World) -> None:
    world.lab.host.run(["ip", "route", "add", "10.66.1.254/32", "dev", "up0"])
    world.lab.host.sysctl("ipv4/conf/all/rp_filter", 1)
    try:
        found = world.why("lab", "internet")["ipv4"]
        assert found["cause"].startswith(
            "the reverse path filter dropped it: 10.66.1.254 is not routed to where it came"
        )
    finally:
        world.lab.host.sysctl("ipv4/conf/all/rp_filter", 0)
        world.lab.host.run(["ip", "route", "del", "10.66.1.254/32"])


def test_forwarding_off_for_one_nic(world: World) -> None:
    world.lab.host.sysctl("ipv4/conf/virbr1/forwarding", 0)
    try:
        assert (
            world.why("lab", "internet")["ipv4"]["cause"] == "forwarding is off (net.ipv4.conf.virbr1.forwarding = 0)"
        )
        found = world.why("internet", "web1", "4023")["ipv4"]
        assert found["cause"] == "the answer came back through virbr1, and the host did not pass it on"
        assert found["todo"].startswith("look at: sysctl net.ipv4.conf.virbr1.forwarding")
    finally:
        world.lab.host.sysctl("ipv4/conf/virbr1/forwarding", 1)


def test_forwards_that_are_not_for_this(world: World) -> None:
    """Nobody else's answer is taken for the guest's: neither the host's own nor another guest's."""
    host = world.lab.host
    pid = host.echo(8080, name="host")
    found = world.why("internet", "web1", "8080/tcp")["ipv4"]
    assert not found["reached"]
    assert found["cause"] == "the host forwards no 8080/tcp to web1; the host itself answered"
    assert found["todo"].startswith(
        'to reach its port 8080, write at guest web1 in the file, and apply: forwards: ["8080"]'
    )
    assert "it has 4023/tcp -> 22" in found["todo"]
    assert found["way"][1] == "guestnet's inet guestnet: no forward takes tcp 8080"
    host.kill(pid)
    found = world.why("dmz", "web1", "22")["ipv4"]
    assert found["cause"].startswith(
        "the host forwards no 22/tcp to web1; it arrived at the host, where nothing listens"
    )
    assert found["todo"] == "its port 22 is forwarded from the host's 4023: guestnet why dmz web1 4023"
    found = world.why("internet", "web1", "4024")["ipv4"]
    assert found["cause"].startswith("4024/tcp is forwarded to web1 only for 198.51.100.0/24, and 198.19.255.2 asked")
    found = world.why("dmz", "web1", "4024")["ipv4"]
    assert found["reached"], "from there it is"
    found = world.why("internet", "web1")["ipv4"]
    assert "oifname @closed4 reject" in found["cause"], "a ping is never forwarded: the host's own answer says nothing"
    for found in world.why("internet", "web2", "4025").values():
        assert found["cause"].startswith("web2 is not defined in libvirt, so its forward 4025/tcp -> 22 waits")
    found = world.why("internet", "web2", "4023")["ipv4"]
    assert found["cause"] == "4023/tcp of 203.0.113.2 is forwarded to web1, not to web2"


def test_what_the_asker_was_not_is_said(world: World) -> None:
    found = world.why("203.0.113.9", "web1", "4023")
    assert set(found) == {"ipv4"}
    assert found["ipv4"]["note"].endswith("203.0.113.9 itself cannot be asked from here")
    assert found["ipv4"]["from"] == "198.19.255.2"
    assert "beside web1, whose own firewall" in world.why("web1", "internet")["ipv4"]["note"]
    found = world.why("203.0.113.2", "web1", "22")
    assert (found["ipv4"]["from"], found["ipv4"]["note"]) == ("203.0.113.2", ""), "the host can be asked itself"
    done = world.lab.host.guestnet("why", "lab", "only4", "22", check=False)
    assert "IPv6 not asked: only4 has none" in done.stderr


def test_on_the_lan(world: World) -> None:
    """Ends get addresses of the LAN; no rule of the host sees what they send, unless br_netfilter is on."""
    host = world.lab.host
    for network, nic, how in (
        ("spare", "br1", "passes through the bridge"),
        ("tap", "eth2", "passes below every rule"),
    ):
        both = world.why(network, "internet", "--lan")
        for found in both.values():
            assert found["reached"], found
            assert found["way"][0].startswith(f"{nic} {how}")
        assert both["ipv4"]["from"].startswith("203.0.113.1"), "the LAN's DHCP server gave it"
    unknown = host.guestnet("why", "internet", "outside1", "22", check=False)
    assert "the LAN gives outside1 its address, and guestnet does not know it" in unknown.stderr
    assert "virsh domifaddr outside1 --source agent" in unknown.stderr
    found = world.why("spare", "lab", "--lan")["ipv4"]
    assert found["cause"].startswith("it went over br1 to the LAN, past all rules of this host, and was not answered")
    if not host.path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        pytest.skip("this kernel has no br_netfilter")
    host.shell("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; iptables -P FORWARD DROP")
    try:
        for target in ("spare", "internet"):
            found = world.why("spare", target, "--lan")["ipv4"]
            assert found["cause"] == "br_netfilter hands bridged packets to iptables' FORWARD, policy drop"
            assert found["todo"].startswith("iptables -I FORWARD -i br1 -o br1 -j ACCEPT; or turn it off: ")
        assert "no DHCP server answered" in found["note"], "which is the same rule's doing"
        host.write("/run/spare.yaml", "networks: {spare: {mode: bridge, bridge: br1, interface: eth1}}\n")
        done = host.guestnet("-f", "/run/spare.yaml", "--format", "json", "reach", "--probe", "--lan", check=False)
        broken = {
            (one["to"]["name"], one["family"]): one["broken_hop"]
            for one in json.loads(done.stdout)["cells"]
            if one["as_predicted"] is False
        }
        assert broken == dict.fromkeys([("", "ipv4"), ("spare", "ipv4")], found["cause"]), "to the internet, and itself"
        assert world.why("lab", "lab")["ipv4"]["reached"], "libvirt and guestnet let their own pass"
    finally:
        host.shell("echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables; iptables -P FORWARD ACCEPT")


def test_what_the_file_wants_is_no_fault_of_the_host(world: World) -> None:
    for name, todo in (("203.0.113.9", "egress of tight denies 203.0.113.0/28"), ("198.51.100.1", "")):
        (found,) = world.why("tight", name).values()
        assert found["reached"] == (not todo), found
        if todo:
            assert "@denied4" in found["cause"]
            assert found["todo"] == f"the file wants it so: {todo}"
    done = world.lab.host.guestnet("why", "tight", "internet", check=False)
    assert "egress denies the gateway 203.0.113.1, which is asked for the internet" in done.stderr
    (found,) = world.why("wan", "internet").values()
    assert "libvirt's rule" in found["cause"]
    assert found["todo"] == "the file wants it so: wan forwards through eth2 only"


def test_what_the_kernel_passes_to_no_macvtap(world: World) -> None:
    for words, families in ((("own", "host"), 2), (("host", "own"), 2), (("lonely", "lonely"), 2)):
        both = world.why(*words, "--lan")
        assert len(both) == families
        for found in both.values():
            assert ("macvtaps hear nothing" if words[0] == "lonely" else "(macvlan)") in found["cause"], found
            assert "a second NIC in a nat or isolated network, or use mode bridge" in found["todo"]


def test_nothing_of_it_on_the_lan_unasked(world: World) -> None:
    seen = "bridge fdb | grep -o '^02:70:72:[0-9a-f:]*' | sort -u"
    before = world.lab.inet.shell(seen, check=False).stdout
    for words in (("own", "host"), ("host", "tap"), ("spare", "internet"), ("outside1", "lab")):
        done = world.lab.host.guestnet("why", *words, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "is on the LAN: its ends get MACs there and a lease (say --lan)" in done.stderr
    assert world.lab.inet.shell(seen, check=False).stdout == before


def test_our_table_deleted(world: World) -> None:
    world.lab.host.run(["nft", "delete", "table", "inet", "guestnet"])
    try:
        for found in world.why("internet", "web1", "4023").values():
            assert "forward 4023/tcp -> 22 is not in force" in found["cause"]
            assert "nothing listens on tcp 4023" in found["cause"]
            assert "guestnet's there is no table inet guestnet: nothing is forwarded" in found["way"]
            assert "firewall table inet guestnet" in found["todo"]
            assert "guestnet apply" in found["todo"]
        for found in world.why("cell", "host").values():
            assert found["reached"], "nothing stops it"
            assert "by the file it should not (host_access: none" in found["todo"]
            assert "firewall table inet guestnet" in found["todo"]
    finally:
        apply(world.lab.host)


def test_a_foreign_drop(world: World) -> None:
    rules = 'table ip other {\nchain c { type filter hook forward priority -10;\niifname "virbr1" drop\n}\n}\n'
    world.lab.host.run(["nft", "-f", "-"], input=rules)
    try:
        found = world.why("lab", "internet")
        assert found["ipv4"]["cause"] == 'dropped by somebody\'s rule in table ip other, chain c: iifname "virbr1" drop'
        assert found["ipv4"]["rule"] == {
            "owner": "unknown", "table": "ip other", "chain": "c", "text": 'iifname "virbr1" drop',
        }  # fmt: skip
        assert found["ipv6"]["reached"]
        found = world.why("internet", "web1", "4023")["ipv4"]
        assert found["cause"].startswith("the answer was dropped by somebody's rule in table ip other, chain c")
        world.lab.host.shell("nft flush chain ip other c; nft add rule ip other c iifname up0 drop")
        found = world.why("lab", "internet")["ipv4"]
        assert (
            found["cause"]
            == 'the answer was dropped by somebody\'s rule in table ip other, chain c: iifname "up0" drop'
        )
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
        found = world.why("internet", "web1", "4023")
        assert found["ipv4"]["cause"] == "forwarding is off (net.ipv4.ip_forward = 0)", "after the translation"
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
        assert found["cause"] == "it was passed on to 10.66.1.10 (web1), and no answer came back"
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
        (("lab", "host", "0"), "0 is not a port"),
        (("lab", "host", "22/sctp"), "22/sctp is not a port"),
        (("web3", "host"), 'nobody knows web3 (did you mean "web'),
    ):
        done = world.lab.host.guestnet("why", *words, check=False)
        assert done.returncode == 1
        assert said in done.stderr


def test_a_network_that_does_not_run(world: World) -> None:
    world.lab.host.virsh("net-destroy", "apart")
    try:
        for words in (("apart", "host"), ("host", "only4"), ("lab", "10.66.6.9")):
            done = world.lab.host.guestnet("why", *words, check=False)
            assert (done.returncode, done.stdout) == (1, "")
            assert "network apart does not run (start it: guestnet apply)" in done.stderr
    finally:
        world.lab.host.virsh("net-start", "apart")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_killed(world: World, number: signal.Signals) -> None:
    """Neither the marking rules are left, nor nft that prints what they mark, nor an end."""
    host = world.lab.host
    before = host.shell(LEFT).stdout
    started = host.popen([GUESTNET, "why", "lab", "10.66.1.77"])

    def tracing() -> bool:
        return "guestnet_trace" in host.run(["nft", "list", "tables"]).stdout and "nft monitor" in processes(host)

    wait_for("the trace", tracing)
    host.send_signal(started, number)
    started.wait(timeout=10)
    wait_for("nft to end", lambda: "nft monitor" not in processes(host))
    wait_for("the marking rules to go", lambda: "guestnet_trace" not in host.run(["nft", "list", "tables"]).stdout)
    wait_for("all else to go", lambda: host.shell(LEFT).stdout == before)
    assert world.why("lab", "host")["ipv4"]["reached"], "nothing is in the way of the next"


def processes(host: Host) -> str:
    return host.run(["ps", "-eo", "args"]).stdout
