"""The matrix: what is predicted is what packets find, in each mode and family; planted faults turn the right cells red.

The lab's own probes are asked beside it, so that a measurement which always agrees with itself would be found out.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab
from lab.fake import Static
from lab.host import GUESTNET
from lab.process import wait_for
from tests.live.conftest import ADMIT, apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: virbr1, stp: false, ipv4: 10.66.1.1/24, ipv6: "fd00:66:1::1/64"}
  plain: {mode: nat, bridge: virbr2, stp: false, ipv4: 10.66.2.1/24, ipv6: "fd00:66:2::1/64", nat: {ipv6: false}}
  cell: {mode: isolated, bridge: virbr3, stp: false, ipv4: 10.66.3.1/24, ipv6: "fd00:66:3::1/64"}
  dmz: {mode: routed, bridge: virbr4, stp: false, ipv4: 198.51.100.1/25, ipv6: "2001:db8:66:4::1/64"}
  shut:
    mode: routed
    bridge: virbr5
    stp: false
    ipv4: 198.51.100.129/25
    ipv6: "2001:db8:66:5::1/64"
    inbound: {ipv6: closed}
    host_access: none
  tenants:
    mode: nat
    bridge: virbr6
    stp: false
    ipv4: 10.66.6.1/24
    ipv6: "fd00:66:6::1/64"
    guest_isolation: true
    egress: {deny: [private, host, 198.51.100.0/24]}
guests:
  web1: {network: lab, mac: "52:54:00:12:34:56", forwards: ["4023:22"]}
"""
UPSTREAM = """
ip route add 198.51.100.0/24 via 203.0.113.2
ip -6 route add 2001:db8:66::/48 via 2001:db8:1::2
"""
# The state of a bridge without ports follows a little later.
# What the kernel counted of forwards in the file stays; of the measurement's own, whose ports begin at 61000, nothing.
LEFT = (
    "nft -s list table inet guestnet | sed '/set flows/,/^\t}/d'; ip -o link | cut -d' ' -f2 | sort; "
    "for f in flows4 flows6; do nft list set inet guestnet $f | grep -o '[.] 61[0-9]*' || true; done"
)
ROUTERS = ("10.66.6.1", "fd00:66:6::1")
Way = tuple[str, str, str]  # from, to, family


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        apply(lab.host, FILE)
        lab.inet.shell(UPSTREAM)
        yield lab


def cells(lab: Lab, *args: str) -> dict[Way, dict[str, Any]]:
    done = lab.host.guestnet("--format", "json", "reach", *args, check=False)
    found = json.loads(done.stdout)["cells"]
    named = {
        (one["from"]["name"] or one["from"]["kind"], one["to"]["name"] or one["to"]["kind"], one["family"]): one
        for one in found
    }
    assert len(named) == len(found)
    assert done.returncode == int(any(one.get("as_predicted") is False for one in found)), done.stderr
    return named


def followed(found: dict[Way, dict[str, Any]], how: str) -> list[dict[str, Any]]:
    """The cells that are red, and of which a packet was followed that was stopped, or let through."""
    return [one for one in found.values() if one.get("as_predicted") is False and one[how]]


def red(found: dict[Way, dict[str, Any]]) -> set[Way]:
    return {way for way, one in found.items() if one.get("as_predicted") is False}


def test_what_is_predicted_is_what_packets_find(lab: Lab) -> None:
    before = lab.host.shell(LEFT).stdout
    found = cells(lab, "--probe")
    assert red(found) == set()
    assert all(one["as_predicted"] for one in found.values()), "each cell was measured"
    assert len(found) == 2 * (6 * 5 + 6 * 5)  # a family: internet and host both ways, itself, and each other
    after = lab.host.shell(LEFT).stdout
    assert after == before, "nothing is left behind"


EXPECTED = {
    # The design's table of modes, and what the knobs make of it
    ("lab", "internet"): "yes yes", ("internet", "lab"): "forwards forwards", ("lab", "lab"): "yes yes",
    ("lab", "host"): "yes yes", ("host", "lab"): "yes yes",
    ("plain", "internet"): "yes no", ("internet", "plain"): "no no",
    ("cell", "internet"): "no no", ("internet", "cell"): "no no", ("cell", "cell"): "yes yes",
    ("cell", "host"): "no no", ("host", "cell"): "no no",
    ("dmz", "internet"): "yes yes", ("internet", "dmz"): "yes yes", ("dmz", "host"): "yes yes",
    ("host", "dmz"): "yes yes", ("internet", "shut"): "yes no", ("shut", "internet"): "yes yes",
    ("shut", "host"): "no no", ("host", "shut"): "no no",
    ("tenants", "internet"): "yes yes", ("tenants", "tenants"): "no no", ("tenants", "host"): "services services",
    ("host", "tenants"): "no no",
    ("lab", "plain"): "no no", ("plain", "lab"): "forwards forwards", ("lab", "dmz"): "yes yes",
    ("dmz", "lab"): "forwards forwards", ("lab", "shut"): "yes no", ("cell", "dmz"): "no no", ("dmz", "cell"): "no no",
    ("lab", "cell"): "no no", ("tenants", "dmz"): "no yes", ("tenants", "lab"): "no no",
}  # fmt: skip


def test_the_promises_of_the_modes(lab: Lab) -> None:
    """Typed in from the design, so that prediction and measurement cannot be wrong together."""
    found = cells(lab)
    said = {way: " ".join(found[(*way, family)]["predicted"] for family in ("ipv4", "ipv6")) for way in EXPECTED}
    assert said == EXPECTED
    assert all(one["reason"] for one in found.values())


def test_the_labs_own_probes_agree(lab: Lab) -> None:
    """A routed guest and an isolated one by other means: static fakes, the internet's clients, no guestnet."""
    routed = lab.host.fake_guest(
        "r", "virbr4", plug=Static("198.51.100.9/25", "2001:db8:66:4::9/64", "198.51.100.1", "2001:db8:66:4::1")
    )
    shut = lab.host.fake_guest(
        "s", "virbr5", plug=Static("198.51.100.139/25", "2001:db8:66:5::9/64", "198.51.100.129", "2001:db8:66:5::1")
    )
    tenants = [
        lab.host.fake_guest(f"t{i}", "virbr6", plug=Static(f"10.66.6.{i}/24", f"fd00:66:6::{i}/64", *ROUTERS))
        for i in (8, 9)
    ]
    for guest in tenants:
        lab.host.run(["bridge", "link", "set", "dev", guest.port, "isolated", "on"])  # as libvirt does
    try:
        for protocol in ("tcp", "udp"):
            assert lab.inet.probe(protocol, "198.51.100.9", 80, source="203.0.113.9").text.endswith("from 203.0.113.9")
            assert lab.inet.probe(protocol, "2001:db8:66:4::9", 80).answered
            assert routed.probe(protocol, "203.0.113.1", 7).text == f"inet {protocol} 7 from 198.51.100.9"
            assert routed.probe(protocol, "2001:db8:1::1", 7).text == f"inet {protocol} 7 from 2001:db8:66:4::9"
            assert lab.inet.probe(protocol, "198.51.100.139", 80).answered
            assert lab.inet.probe(protocol, "2001:db8:66:5::9", 80).kind == "refused"
            assert not shut.probe(protocol, "198.51.100.129", 7, timeout=0.5).answered
            assert tenants[0].probe(protocol, "203.0.113.1", 7).answered, "egress: the internet"
            assert not tenants[0].probe(protocol, "198.51.100.9", 80, timeout=0.5).answered, "egress: a denied network"
            assert tenants[0].probe(protocol, "2001:db8:66:4::9", 80).answered
            assert not tenants[0].probe(protocol, "10.66.6.9", 80, timeout=0.5).answered, "guest_isolation"
            assert not tenants[0].probe(protocol, "fd00:66:6::9", 80, timeout=0.5).answered
    finally:
        for guest in (routed, shut, *tenants):
            guest.stop()


TO_GUESTS = {("internet", "lab"), ("dmz", "lab"), ("plain", "lab"), ("shut", "lab")}


def both(*ways: tuple[str, str]) -> set[Way]:
    return {(*way, family) for way in ways for family in ("ipv4", "ipv6")}


def test_our_table_deleted(lab: Lab) -> None:
    """More gets through than the file says, and forwards do not."""
    lab.host.run(["nft", "delete", "table", "inet", "guestnet"])
    try:
        found = cells(lab, "--probe")
        wrong = red(found)
        assert both(("cell", "host"), ("host", "cell"), ("internet", "lab"), ("tenants", "host")) <= wrong
        assert not both(("lab", "internet"), ("lab", "lab"), ("dmz", "internet")) & wrong
        opened = followed(found, "let_through")
        assert opened
        for one in opened:
            assert (one["predicted"], one["measured"]) != ("yes", "no")
            assert "the host is not as the file says" in one["let_through"]
            assert "firewall table inet guestnet" in one["let_through"]
            assert (one["broken_hop"], one["todo"]) == (None, "guestnet apply")
        broken = followed(found, "broken_hop")
        assert {one["to"]["name"] for one in broken} == {"lab"}, "whose forwards are gone"
        assert all("no rule translated it" in one["broken_hop"] for one in broken)
        assert all("guestnet apply" in one["todo"] for one in broken)
        assert len(opened + broken) == 8 < len(wrong), "the others are named without"
    finally:
        apply(lab.host)


def test_a_foreign_drop_before_ours(lab: Lab) -> None:
    lab.host.run(
        ["nft", "-f", "-"],
        input='table ip other {\nchain c { type filter hook forward priority -10;\niifname "virbr1" drop\n}\n}\n',
    )
    try:
        found = cells(lab, "--probe")
        assert ("lab", "internet", "ipv4") in red(found)
        assert ("lab", "dmz", "ipv4") in red(found)
        assert not {way for way in red(found) if way[2] == "ipv6"}
        assert "broken_hop" not in found["lab", "internet", "ipv6"], "only red ones are followed"
        for way in red(found):
            broken, todo = found[way]["broken_hop"], found[way]["todo"]
            # What leaves the network, or the answer of what came in by a forward
            assert broken.endswith('dropped by somebody\'s rule in table ip other, chain c: iifname "virbr1" drop'), way
            assert broken.startswith("the answer was ") == (way[1] == "lab")
            assert todo == "remove that rule, or accept it before: nft list chain ip other c"
        shown = lab.host.guestnet("reach", "--probe", check=False).stdout
        assert (
            "lab -> internet, v4: predicted yes, measured no. First broken hop: dropped by somebody's rule "
            'in table ip other, chain c: iifname "virbr1" drop\n'
        ) in shown
        assert "  the same: lab -> dmz, v4; lab -> shut, v4\n" in shown
        assert "113 as predicted" in shown
        (row,) = [line.split() for line in shown.splitlines() if line.startswith("lab (nat)") and "forwards" in line]
        assert row == ["lab", "(nat)", "v4", "yes/NO!", "yes/yes", "yes/yes", "forwards/NO!", "yes/yes", "2", "differ"]
        assert "\033" not in shown, "no colours where no terminal is"
    finally:
        lab.host.run(["nft", "delete", "table", "ip", "other"])


def test_the_admit_rule_removed(lab: Lab) -> None:
    lab.host.run(["ip6tables", "-D", "FORWARD", *ADMIT])
    try:
        found = cells(lab, "--probe")
        assert red(found) == {(*way, "ipv6") for way in TO_GUESTS}
        for one in followed(found, "broken_hop"):
            assert "rejected by libvirt's rule in table ip6 filter, chain LIBVIRT_FWI" in one["broken_hop"]
            assert "admit rule in ip6tables FORWARD" in one["todo"]
            assert "guestnet apply" in one["todo"]
        assert len(followed(found, "broken_hop")) == len(TO_GUESTS)
    finally:
        apply(lab.host)


def test_forwarding_off(lab: Lab) -> None:
    lab.host.sysctl("ipv4/ip_forward", 0)
    try:
        found = cells(lab, "--probe")
        wrong = red(found)
        assert both(("lab", "internet"), ("internet", "dmz"), ("lab", "dmz")) & wrong == {
            ("lab", "internet", "ipv4"), ("internet", "dmz", "ipv4"), ("lab", "dmz", "ipv4")
        }  # fmt: skip
        causes = {one["broken_hop"] for one in followed(found, "broken_hop")}
        assert causes == {"forwarding is off (net.ipv4.ip_forward = 0)"}
        assert not both(("lab", "lab"), ("lab", "host")) & wrong
    finally:
        lab.host.sysctl("ipv4/ip_forward", 1)


def test_a_policy_of_drop_spares_what_libvirt_and_we_admit(lab: Lab) -> None:
    lab.host.run(["iptables", "-P", "FORWARD", "DROP"])
    try:
        wrong = red(cells(lab, "--probe"))
    finally:
        lab.host.run(["iptables", "-P", "FORWARD", "ACCEPT"])
    assert wrong == set(), "docker's policy hurts neither libvirt's networks nor forwards"


def test_libvirts_chains_flushed(lab: Lab) -> None:
    for program in ("iptables", "ip6tables"):
        lab.host.shell(f"{program} -t nat -F LIBVIRT_PRT; {program} -F LIBVIRT_FWI; {program} -F LIBVIRT_FWO")
    try:
        found = cells(lab, "--probe")
        assert both(("lab", "internet")) <= red(found), "no masquerade"
        causes = {one["broken_hop"] for one in followed(found, "broken_hop") if one["to"]["kind"] == "internet"}
        assert all("no rule translated it" in cause for cause in causes), causes
        assert causes
    finally:
        lab.host.libvirtd.restart()
        apply(lab.host)
    assert red(cells(lab, "--probe")) == set()


def test_interrupted_and_killed(lab: Lab) -> None:
    """Nothing is left: no end, no forward of the measurement, no lock."""
    before = lab.host.shell(LEFT).stdout
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        started = lab.host.popen(["/usr/bin/env", *map(str, [lab_guestnet(lab), "reach", "--probe"])])
        wait_for("the ends", lambda: "gnprobe6b" in lab.host.shell("ip -br link").stdout)
        time.sleep(0.3)
        lab.host.send_signal(started, number)
        started.wait(timeout=10)
        wait_for("the ends to go", lambda: "gnprobe" not in lab.host.shell("ip -br link").stdout)
        wait_for(
            "the forwards to go",
            lambda: lab.host.shell(LEFT).stdout == before,
        )
    assert "Nothing to do" in apply(lab.host)


def lab_guestnet(lab: Lab) -> str:

    assert lab.host.exists(GUESTNET)
    return str(GUESTNET)


def test_two_at_once(lab: Lab) -> None:
    first = lab.host.popen([lab_guestnet(lab), "reach", "--probe"])
    wait_for("the ends", lambda: "gnprobe6b" in lab.host.shell("ip -br link").stdout)
    lab.host.send_signal(first, signal.SIGSTOP)  # else it may be done before the second has begun
    second = lab.host.guestnet("reach", "--probe", check=False)
    first.send_signal(signal.SIGCONT)  # nsenter stops with it, and lets it go on, too
    assert second.returncode == 1
    assert "is measuring this host" in second.stderr
    assert first.wait(timeout=30) == 0


def test_a_prediction_that_is_wrong_on_purpose_is_found(lab: Lab) -> None:
    """The file says isolated, the host was never told: what is measured is the host."""
    lab.host.write("/run/wrong.yaml", FILE.replace("mode: nat, bridge: virbr2", "mode: isolated, bridge: virbr2")
                   .replace(", nat: {ipv6: false}", ""))  # fmt: skip
    done = lab.host.guestnet("-f", "/run/wrong.yaml", "--format", "json", "reach", "--probe", check=False)
    wrong = {
        (one["from"]["name"] or one["from"]["kind"], one["to"]["name"] or one["to"]["kind"], one["family"])
        for one in json.loads(done.stdout)["cells"]
        if one["as_predicted"] is False
    }
    assert done.returncode == 1
    assert ("plain", "internet", "ipv4") in wrong
    assert both(("plain", "host"), ("host", "plain")) <= wrong
