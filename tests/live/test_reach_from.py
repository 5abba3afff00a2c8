"""The internet's side asked from another machine, `--from ssh:HOST`: a real sshd in the fake internet, which has routes
to some of the host's networks and knows nothing of the others."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab
from lab.host import GUESTNET
from lab.process import wait_for
from lab.sshd import FOLDER, UID, Sshd
from tests.live.conftest import apply

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
  wan: {mode: routed, bridge: virbr6, stp: false, ipv4: 198.51.101.1/25, ipv6: none, uplink: up0}
  inner: {mode: routed, bridge: virbr7, stp: false, ipv4: 10.66.7.1/24, ipv6: none}
  behind:
    mode: nat
    bridge: virbr8
    stp: false
    ipv4: 10.66.8.1/24
    ipv6: none
    uplink: up0
    egress: {deny: [203.0.113.0/28]}
  spare: {mode: bridge, bridge: br1, interface: eth1}
guests:
  web1: {network: lab, mac: "52:54:00:12:34:56", forwards: ["4023:22"]}
  web2: {network: behind, mac: "52:54:00:12:34:57", forwards: ["4024:22"]}
"""
UPSTREAM = """
ip route add 198.51.100.0/23 via 203.0.113.2
ip -6 route add 2001:db8:66::/48 via 2001:db8:1::2
ip route add 10.66.7.0/24 dev lo  # it sends there, and nobody is there
"""
NETWORKS = ("lab", "plain", "cell", "dmz", "shut", "wan", "inner", "behind", "spare")
# What the kernel counted of forwards in the file stays; of the measurement's own, whose ports begin at 61000, nothing.
LEFT = (
    "nft -s list table inet guestnet | sed '/set flows/,/^\t}/d'; ip -o link | cut -d' ' -f2 | sort; "
    "for f in flows4 flows6; do nft list set inet guestnet $f | grep -o '[.] 61[0-9]*' || true; done"
)
Way = tuple[str, str, str]  # from, to, family
# Inwards, predicted/measured
EXPECTED = {
    "lab": "forwards/forwards forwards/forwards", "plain": "no/None no/None", "cell": "no/None no/None",
    "dmz": "yes/yes yes/yes", "shut": "yes/yes no/no", "wan": "yes/yes -", "inner": "yes/None -",
    "behind": "forwards/forwards -", "spare": "lan/None lan/None",
}  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.inet.plug(lab.host, "eth1", "p1")
        apply(lab.host, FILE)
        lab.inet.shell(UPSTREAM)
        Sshd(lab.inet, lab.host).start()
        yield lab


def cells(lab: Lab, *args: str) -> dict[Way, dict[str, Any]]:
    done = lab.host.guestnet("--format", "json", "reach", "--probe", *args, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["cells"]
    return {
        (one["from"]["name"] or one["from"]["kind"], one["to"]["name"] or one["to"]["kind"], one["family"]): one
        for one in found
    }


def red(found: dict[Way, dict[str, Any]]) -> set[Way]:
    return {way for way, one in found.items() if one.get("as_predicted") is False}


def inwards(found: dict[Way, dict[str, Any]]) -> dict[str, str]:
    """By network predicted/measured, IPv4 and IPv6."""
    shown = {}
    for name in NETWORKS:
        both = [found.get(("internet", name, family)) for family in ("ipv4", "ipv6")]
        shown[name] = " ".join(f"{one['predicted']}/{one['measured']}" if one else "-" for one in both)
    return shown


def test_from_another_machine(lab: Lab) -> None:
    before, there = lab.host.shell(LEFT).stdout, processes(lab)
    found = cells(lab, "--from", "ssh:root@vps")
    assert red(found) == set()
    assert inwards(found) == EXPECTED
    assert not any(one["simulated"] for one in found.values())
    assert "root@vps may have no route to it" in found["internet", "inner", "ipv4"]["heard"]
    assert "root@vps has no way to send it" in found["internet", "plain", "ipv4"]["heard"]
    assert lab.host.shell(LEFT).stdout == before
    assert processes(lab) == there, "nothing is left there, either"


def processes(lab: Lab) -> str:
    return lab.inet.shell("ps -eo args | grep -v -e 'ps -eo' -e grep -e 'sh -euc' | sort").stdout


def test_the_summary_says_from_where(lab: Lab) -> None:
    shown = lab.host.guestnet("reach", "--probe", "--from", "ssh:root@vps")
    assert "from root@vps" in shown.stdout.splitlines()[-1]
    assert "starting a probe on root@vps" in shown.stderr
    shown = lab.host.guestnet("reach", "--probe", check=False)
    assert "simulated from a link of our own" in shown.stdout.splitlines()[-1]
    found = cells(lab)
    assert found["internet", "dmz", "ipv4"]["simulated"]
    assert not found["dmz", "internet", "ipv4"]["simulated"]


def test_a_network_that_takes_only_what_comes_through_the_uplink(lab: Lab) -> None:
    """A link of our own is not where that comes from, so it is not asked; what forwards lead to is."""
    found = cells(lab)
    assert red(found) == set()
    told = found["internet", "wan", "ipv4"]
    assert (told["predicted"], told["measured"], told["as_predicted"]) == ("yes", None, None)
    assert told["heard"] == "it takes only what comes through up0; --from ssh:HOST asks there"
    assert inwards(found)["behind"] == "forwards/forwards -"
    assert red(cells(lab, "--from", "ssh:root@vps")) == set()


def test_a_gateway_that_egress_denies(lab: Lab) -> None:
    """It is asked for the internet, and guests do reach that."""
    found = cells(lab)["behind", "internet", "ipv4"]
    assert found["reason"].endswith("but not 203.0.113.0/28: egress")
    assert (found["predicted"], found["measured"], found["as_predicted"]) == ("yes", None, None)
    assert found["heard"].startswith("egress denies the gateway 203.0.113.1, which is asked for the internet; name")
    found = cells(lab, "--target", "203.0.113.99")["behind", "internet", "ipv4"]
    assert "egress" not in found["heard"]


def test_what_stops_it_on_the_real_uplink_only(lab: Lab) -> None:
    rules = (
        "table inet other {\nchain c { type filter hook prerouting priority -310;\n"
        'iifname "up0" tcp flags & (fin | syn | rst | ack) == syn drop\n}\n}\n'
    )
    lab.host.run(["nft", "-f", "-"], input=rules)
    try:
        missed = red(cells(lab))
        wrong = red(cells(lab, "--from", "ssh:root@vps"))
    finally:
        lab.host.run(["nft", "delete", "table", "inet", "other"])
    assert ("internet", "lab", "ipv4") in wrong
    assert {("internet", "dmz", "ipv4"), ("internet", "dmz", "ipv6")} <= wrong
    assert ("internet", "lab", "ipv4") not in missed, "a link of our own cannot see that"


def test_on_the_lan_it_asks_the_guests_own_addresses(lab: Lab) -> None:
    found = cells(lab, "--lan", "--from", "ssh:root@vps")
    assert red(found) == set()
    assert inwards(found) == {**EXPECTED, "spare": "lan/yes lan/yes"}


@pytest.mark.parametrize("groups", ["1 0", "0 2147483647"])
def test_not_as_root_there(lab: Lab, groups: str) -> None:
    """Without raw sockets it pings if that is allowed, and else says nothing of pings."""
    before = lab.inet.sysctl("ipv4/ping_group_range")
    lab.inet.run(["sh", "-c", f"echo '{groups}' > /proc/sys/net/ipv4/ping_group_range"])
    try:
        found = cells(lab, "--from", "ssh:probe@vps")
    finally:
        lab.inet.run(["sh", "-c", f"echo '{before}' > /proc/sys/net/ipv4/ping_group_range"])
    assert red(found) == set()
    assert inwards(found) == EXPECTED
    heard = found["internet", "dmz", "ipv4"]["heard"]
    assert heard == "tcp answered, udp answered" + (", icmp answered" if groups != "1 0" else "")


def test_without_ipv6_there(lab: Lab) -> None:
    lab.inet.shell(f"ip -6 rule add uidrange {UID}-{UID} unreachable")
    try:
        found = cells(lab, "--from", "ssh:probe@vps")
    finally:
        lab.inet.shell(f"ip -6 rule del uidrange {UID}-{UID} unreachable")
    assert red(found) == set()
    assert inwards(found)["dmz"] == "yes/yes yes/None"
    assert inwards(found)["shut"] == "yes/yes no/None"
    assert "probe@vps has no way to send it: " in found["internet", "dmz", "ipv6"]["heard"]


REFUSALS = {
    "ssh:root@203.0.113.10": "root@203.0.113.10: ssh: connect to host 203.0.113.10 port 22: Connection refused",
    "ssh:stranger@vps": "Permission denied (publickey)",
    "ssh:root@vps.invalid": "Could not resolve hostname vps.invalid",
}


@pytest.mark.parametrize("place", REFUSALS)
def test_who_does_not_let_us_in(lab: Lab, place: str) -> None:
    before = lab.host.shell(LEFT).stdout
    done = lab.host.guestnet("reach", "--probe", "--from", place, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert REFUSALS[place] in done.stderr
    assert f"without a question: ssh {place.removeprefix('ssh:')} python3 --version" in done.stderr
    assert "Traceback" not in done.stderr
    assert lab.host.shell(LEFT).stdout == before


def test_a_host_key_that_is_not_known(lab: Lab) -> None:
    known = lab.host.read(f"{FOLDER}/known_hosts")
    lab.host.write(f"{FOLDER}/known_hosts", "")
    try:
        done = lab.host.guestnet("reach", "--probe", "--from", "ssh:root@vps", check=False)
    finally:
        lab.host.write(f"{FOLDER}/known_hosts", known)
    assert "root@vps: Host key verification failed" in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python3000 --version", "python3000: "),
        ("echo Welcome to vps", "what is no answer: Welcome to vps"),
        ("exit 3", "a probe ended before it was told to"),
    ],
)
def test_something_else_than_python_there(lab: Lab, command: str, said: str) -> None:
    keys = lab.inet.read(f"{FOLDER}/authorized_keys")
    lab.inet.write(f"{FOLDER}/authorized_keys", f'command="{command}" {keys}')
    try:
        done = lab.host.guestnet("reach", "--probe", "--from", "ssh:root@vps", check=False)
    finally:
        lab.inet.write(f"{FOLDER}/authorized_keys", keys)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_killed(lab: Lab, number: signal.Signals) -> None:
    before, there = lab.host.shell(LEFT).stdout, processes(lab)
    started = lab.host.popen([str(GUESTNET), "reach", "--probe", "--from", "ssh:root@vps"])
    wait_for("the ends", lambda: "gnprobe8b" in lab.host.shell("ip -br link").stdout)
    assert "python3 -ISE" in processes(lab)
    lab.host.send_signal(started, number)
    started.wait(timeout=15)
    wait_for("all to go here", lambda: lab.host.shell(LEFT).stdout == before)
    wait_for("all to go there", lambda: processes(lab) == there)
