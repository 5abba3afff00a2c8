"""The matrix of networks on the LAN, measured with --lan: ends as guests are there, with addresses that the LAN gives.

The LAN is the fake internet's, with its DHCP server and router; what is to be right there is typed in, and the lab's
own probes are asked beside it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab
from lab.host import GUESTNET
from lab.inet import DNSMASQ, PREFIX6
from lab.process import wait_for
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

# virbr1 is for what must stay as it is; up0 is the host's own uplink
FILE = """
networks:
  lab: {mode: nat, bridge: virbr1, stp: false, ipv4: 10.66.1.1/24, ipv6: "fd00:66:1::1/64"}
  spare: {mode: bridge, bridge: br1, interface: eth1}
  apart: {mode: bridge, bridge: br4, interface: eth4, guest_isolation: true}
  shared: {mode: bridge, bridge: br0}
  tap: {mode: macvtap, interface: eth2}
  vepa: {mode: macvtap, interface: eth2, macvtap: vepa}
  lonely: {mode: macvtap, interface: eth2, macvtap: private}
  own: {mode: macvtap, interface: up0}
"""
Way = tuple[str, str, str]  # from, to, family
LEASES = "/run/lab/leases"  # of the fake internet's DHCP server
# The state of a bridge without ports follows a little later, and its link-local address comes with the first.
LEFT = "ip -o link | awk '{print $2, $(NF-2)}' | sort; ip -o addr show scope global | awk '{print $2, $4}'; ip netns"
# MAC and MTU of a bridge that nobody gave any: it takes them from its ports.
BRIDGE = "cat /sys/class/net/br0/address /sys/class/net/br0/mtu"
SEEN = "bridge fdb | grep -o '^02:70:72:[0-9a-f:]*' | sort -u"  # bridges remember for 5 minutes
FAMILIES = ("ipv4", "ipv6")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        for number in (1, 2, 3, 4):
            lab.inet.plug(lab.host, f"eth{number}", f"p{number}")
        lab.host.shell(
            "echo 0 > /proc/sys/net/ipv6/conf/eth2/accept_ra; ip link set eth2 up\n"
            "ip link add br0 type bridge; echo 0 > /proc/sys/net/ipv6/conf/br0/accept_ra\n"
            "ip link set eth3 mtu 2000 master br0 up; ip link set br0 up; ip addr add 203.0.113.50/24 dev br0"
        )
        apply(lab.host, FILE)
        yield lab


def cells(lab: Lab, *args: str) -> dict[Way, dict[str, Any]]:
    done = lab.host.guestnet("--format", "json", "reach", *args, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["cells"]
    return {
        (one["from"]["name"] or one["from"]["kind"], one["to"]["name"] or one["to"]["kind"], one["family"]): one
        for one in found
    }


def leases(lab: Lab) -> list[str]:
    """What the LAN's server has given, in no order."""
    return sorted(lab.inet.read(LEASES).splitlines())


def red(found: dict[Way, dict[str, Any]]) -> set[Way]:
    return {way for way, one in found.items() if one.get("as_predicted") is False}


def words(found: dict[Way, dict[str, Any]], source: str, target: str) -> str:
    """predicted/measured, IPv4 and IPv6."""
    both = (found[source, target, family] for family in FAMILIES)
    return " ".join(f"{one['predicted']}/{one['measured']}" for one in both)


EXPECTED = {
    ("spare", "internet"): "lan/yes lan/yes", ("spare", "spare"): "yes/yes yes/yes",
    ("spare", "host"): "lan/yes lan/yes", ("host", "spare"): "lan/yes lan/yes",  # by up0 and the switch
    ("apart", "internet"): "lan/yes lan/yes", ("apart", "apart"): "no/no no/no",
    ("shared", "internet"): "lan/yes lan/yes", ("shared", "shared"): "yes/yes yes/yes",
    ("shared", "host"): "yes/yes lan/yes", ("host", "shared"): "yes/yes lan/yes",  # br0 has an IPv4 address
    ("tap", "internet"): "lan/yes lan/yes", ("tap", "tap"): "yes/yes yes/yes",
    ("tap", "host"): "lan/yes lan/yes",
    ("vepa", "internet"): "lan/yes lan/yes", ("vepa", "vepa"): "lan/no lan/no",  # the lab's switch is an ordinary one
    ("lonely", "internet"): "lan/yes lan/yes", ("lonely", "lonely"): "no/no no/no",
    ("own", "internet"): "lan/yes lan/yes", ("own", "own"): "yes/yes yes/yes",
    ("own", "host"): "lan/no no/no", ("host", "own"): "lan/no no/no",  # br0 is in the IPv4 subnet, too
    ("lab", "internet"): "yes/yes yes/yes",
}  # fmt: skip


def test_what_is_predicted_is_what_packets_find(lab: Lab) -> None:
    left, given, bridge = lab.host.shell(LEFT).stdout, leases(lab), lab.host.shell(BRIDGE).stdout
    watched = lab.host.popen(["sh", "-c", f"while :; do {BRIDGE}; sleep 0.05; done"])
    began = time.monotonic()
    found = cells(lab, "--probe", "--lan")
    assert time.monotonic() - began < 30
    watched.kill()
    assert set(watched.communicate(timeout=10)[0].splitlines()) == set(bridge.splitlines()), (
        "nor is it changed meanwhile"
    )
    assert red(found) == set()
    assert {way: words(found, *way) for way in EXPECTED} == EXPECTED
    for name in ("spare", "apart", "shared", "tap", "vepa", "lonely", "own"):
        for family in FAMILIES:
            assert found[name, "internet", family]["as_predicted"] is True, "with address and router it is promised"
            assert found["internet", name, family]["measured"] is None
            assert "--from ssh:HOST" in found["internet", name, family]["heard"]
    assert lab.host.shell(LEFT).stdout == left, "nothing is left behind"
    assert leases(lab) == given, "the addresses went back"
    assert "02:70:72" not in lab.host.shell("ip -4 neigh; ip -6 neigh show to 2001:db8::/32").stdout


def test_the_uplink_itself_without_another_nic_in_the_subnet(lab: Lab) -> None:
    lab.host.run(["ip", "addr", "del", "203.0.113.50/24", "dev", "br0"])
    try:
        found = cells(lab, "--probe", "--lan", "--target", "203.0.113.10")
    finally:
        lab.host.run(["ip", "addr", "add", "203.0.113.50/24", "dev", "br0"])
    assert red(found) == set()
    assert words(found, "own", "host") == words(found, "host", "own") == "no/no no/no"
    assert words(found, "shared", "host") == "lan/yes lan/yes"


def test_the_labs_own_probes_agree(lab: Lab) -> None:
    """A fake guest on the bridges, by the lab's own DHCP client and probes."""
    guest = lab.host.fake_guest("s", "br1")
    beside = lab.host.fake_guest("t", "br0")
    try:
        ipv4, ipv6 = guest.wait_addresses()
        beside.wait_addresses()
        assert ipv4 is not None
        assert ipv6 is not None
        for protocol in ("tcp", "udp"):
            assert guest.probe(protocol, "203.0.113.1", 7).text == f"inet {protocol} 7 from {ipv4}"
            assert guest.probe(protocol, "2001:db8:1::1", 7).text == f"inet {protocol} 7 from {ipv6}"
            assert lab.host.probe(protocol, ipv4, 80).peer == "s"
            assert beside.probe(protocol, "203.0.113.50", 99, timeout=1).kind != "timeout" or protocol == "udp"
    finally:
        guest.stop()
        beside.stop()


def test_without_lan_no_mac_of_ours_is_on_it(lab: Lab) -> None:
    before = lab.inet.shell(SEEN, check=False).stdout
    found = cells(lab, "--probe")
    assert lab.inet.shell(SEEN, check=False).stdout == before
    cells(lab, "--probe", "--lan")
    assert len(lab.inet.shell(SEEN).stdout.split()) > len(before.split()), "the LAN's switch does see them"
    assert {one["heard"] for way, one in found.items() if "spare" in way} == {"on the LAN: --lan measures it too"}
    assert words(found, "lab", "internet") == "yes/yes yes/yes"
    assert red(found) == set()


def test_lan_and_from_are_of_probe(lab: Lab) -> None:
    for option in (["--lan"], ["--from", "ssh:vps"]):
        done = lab.host.guestnet("reach", *option, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{option[0]} says how to measure, and nothing is measured (add --probe)" in done.stderr
    done = lab.host.guestnet("reach", "--probe", "--from", "vps", check=False)
    assert "write ssh:HOST" in done.stderr


def filtering(on: bool) -> str:
    policy = "DROP" if on else "ACCEPT"
    return (
        f"for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo {int(on)} > $f; done\n"
        f"iptables -P FORWARD {policy}; ip6tables -P FORWARD {policy}"
    )


def test_br_netfilter_turns_the_right_cells_red(lab: Lab) -> None:
    """Docker's policy, and a kernel that shows it what passes a bridge: guests on the bridges are alone."""
    if not lab.host.path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        pytest.skip("this kernel has no br_netfilter")
    lab.host.shell(filtering(on=True))
    try:
        found = cells(lab, "--probe", "--lan")
        accept = ["FORWARD", "-i", "br1", "-o", "br1", "-j", "ACCEPT"]
        lab.host.run(["iptables", "-I", *accept])
        spared = cells(lab, "--probe", "--lan")
        lab.host.run(["iptables", "-D", *accept])
    finally:
        lab.host.shell(filtering(on=False))
    alone = {
        ("spare", "internet"),
        ("spare", "spare"),
        ("apart", "internet"),
        ("shared", "internet"),
        ("shared", "shared"),
    }
    assert red(found) == {(*way, family) for way in alone for family in FAMILIES}
    assert (
        "br_netfilter is on and iptables' FORWARD drops what passes br1" in found["spare", "internet", "ipv4"]["heard"]
    )
    assert "ip6tables' FORWARD" in found["spare", "internet", "ipv6"]["heard"]
    assert words(found, "tap", "internet") == "lan/yes lan/yes", "a macvtap passes no bridge"
    assert red(found) - red(spared) == {("spare", "internet", "ipv4"), ("spare", "spare", "ipv4")}, (
        "what the plan advises"
    )
    assert red(cells(lab, "--probe", "--lan")) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("when", ["asks", "has addresses"])
def test_interrupted_and_killed(lab: Lab, number: signal.Signals, when: str) -> None:
    """No end, no lease: who holds it notices that we are gone."""
    left, given = lab.host.shell(LEFT).stdout, leases(lab)
    started = lab.host.popen([str(GUESTNET), "reach", "--probe", "--lan"])
    if when == "asks":
        wait_for("the ends", lambda: "gnprobel5b" in lab.host.shell("ip -br link").stdout)
    else:
        wait_for("the leases", lambda: lab.inet.read(LEASES).count("02:70:72") >= 5, interval=0.02)
    lab.host.send_signal(started, number)
    assert started.wait(timeout=15) in (130, -signal.SIGKILL, 128 + signal.SIGKILL)
    wait_for("the leases to go", lambda: leases(lab) == given)
    wait_for("the ends to go", lambda: lab.host.shell(LEFT).stdout == left)


TWO = """
networks:
  spare: {mode: bridge, bridge: br1, interface: eth1}
  tap: {mode: macvtap, interface: eth2}
"""


@contextlib.contextmanager
def dhcp_server(lab: Lab, *options: str, without: tuple[str, ...] = ()) -> Iterator[None]:
    """The LAN's server with other options, for a while."""
    lab.inet.kill(int(lab.inet.read("/run/lab/dnsmasq.pid")))
    lab.inet.run([word for word in DNSMASQ if not word.startswith(without)] + list(options))
    try:
        yield
    finally:
        lab.inet.kill(int(lab.inet.read("/run/lab/dnsmasq.pid")))
        lab.inet.write(LEASES, "")
        lab.inet.run(DNSMASQ)


def test_a_server_that_pings_each_address_first(lab: Lab) -> None:
    """As dnsmasq does by default: it offers late, and hears nobody meanwhile, not even who takes what was offered."""
    lab.host.write("/run/two.yaml", TWO)
    with dhcp_server(lab, without=("--no-ping",)):
        before = leases(lab)
        found = cells(lab, "-f", "/run/two.yaml", "--probe", "--lan")
        assert red(found) == set()
        assert words(found, "spare", "internet") == words(found, "tap", "internet") == "lan/yes lan/yes"
        assert leases(lab) == before
        # Both are offered one by then, and have asked for it; the server has not read that yet.
        started = lab.host.popen([str(GUESTNET), "-f", "/run/two.yaml", "reach", "--probe", "--lan"])
        wait_for("the ends", lambda: "gnprobel1b" in lab.host.shell("ip -br link").stdout)
        time.sleep(4.5)
        lab.host.send_signal(started, signal.SIGKILL)
        started.wait(timeout=10)
        wait_for("the ends to go", lambda: "gnprobel" not in lab.host.shell("ip -br link").stdout)
        time.sleep(8)
        assert leases(lab) == before


def test_a_lan_that_gives_half(lab: Lab) -> None:
    lab.host.write("/run/two.yaml", TWO)
    stateful = ("--dhcp-option=3", "--enable-ra", "--dhcp-range=2001:db8:1::1000,2001:db8:1::2000,64,1h")
    with dhcp_server(lab, *stateful, without=(f"--dhcp-range={PREFIX6}", "--enable-ra", "--ra-param")):
        found = cells(lab, "-f", "/run/two.yaml", "--probe", "--lan")
    assert red(found) == set()
    assert words(found, "spare", "internet") == "lan/None lan/None"
    assert found["spare", "internet", "ipv4"]["heard"] == "the LAN's DHCP server named no router"
    assert "DHCPv6 is not asked" in found["spare", "internet", "ipv6"]["heard"]
    assert words(found, "tap", "host") == "lan/yes lan/None"


def test_what_cannot_be_measured_is_named(lab: Lab) -> None:
    lab.host.shell("ip link set eth2 down; ip link set br0 down")
    try:
        found = cells(lab, "--probe", "--lan")
    finally:
        lab.host.shell("ip link set eth2 up; ip link set br0 up")
    assert {one["heard"] for way, one in found.items() if "tap" in way} == {"eth2 is down"}
    assert {one["heard"] for way, one in found.items() if "shared" in way} == {"br0 is down"}
    assert words(found, "spare", "internet") == "lan/yes lan/yes"
    lab.host.shell("ip link add x0 link eth2 type macvlan mode passthru 2>&1 || true")
    lab.host.virsh("net-destroy", "lonely")
    lab.host.shell("ip link set br1 down; ip link del br1")
    try:
        found = cells(lab, "--probe", "--lan")
    finally:
        lab.host.shell("ip link del x0")
        lab.host.virsh("net-start", "lonely")
        apply(lab.host)
    assert {one["heard"] for way, one in found.items() if "spare" in way} == {"there is no bridge br1"}
    assert {one["heard"] for way, one in found.items() if "lonely" in way} == {"network lonely does not run"}
    assert all("no end could be plugged in: ip: " in one["heard"] for way, one in found.items() if "tap" in way)


def test_a_lan_that_gives_nothing(lab: Lab) -> None:
    """Last: nobody starts it again."""
    lab.inet.kill(int(lab.inet.read("/run/lab/dnsmasq.pid")))
    began = time.monotonic()
    found = cells(lab, "--probe", "--lan")
    assert time.monotonic() - began < 30
    assert red(found) == set()
    for way in (("spare", "internet"), ("host", "tap"), ("own", "host")):
        assert found[(*way, "ipv4")]["heard"] == "the LAN gave no IPv4 address: no DHCP server answered"
        assert found[(*way, "ipv6")]["heard"] == "the LAN gave no IPv6 address: no router advertised a prefix"
        assert found[(*way, "ipv4")]["measured"] is None
    assert words(found, "spare", "spare") == "yes/yes yes/yes", "a guest reaches its neighbour without the LAN"
    assert words(found, "lonely", "lonely") == "no/no no/no"
